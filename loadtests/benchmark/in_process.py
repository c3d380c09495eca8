"""The other ceiling: the server's own predictor called in a loop, on the server's core, without HTTP or JSON.

python -m loadtests.benchmark.in_process MODELS NAME …: loads the models as the server does, waits until the search for
faster forms has ended, says in a line of JSON how each is computed, then answers one such line per line it is given.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from model_manager.serving.servable import Servable
from model_manager.serving.system import System
from model_manager.settings import Settings

_SETTLE_S = 60.0
_POLL_S = 0.02


@asynccontextmanager
async def running(models: Path, names: Sequence[str]) -> AsyncIterator[System]:
    """Run the system without its ports; the body starts when every model named is served as fast as it will be."""
    system = System(Settings(models=models))
    async with system.running():
        async with asyncio.timeout(_SETTLE_S):
            while not _settled(system, names):  # noqa: ASYNC110 - nothing says from outside when it has
                await asyncio.sleep(_POLL_S)
        yield system


async def load(models: Path, names: Sequence[str]) -> dict[str, Servable]:
    """Load models as the server does, and keep what predicts."""
    async with running(models, names) as system:
        return {name: system.registry.servable(name, None) for name in names}


def _settled(system: System, names: Sequence[str]) -> bool:
    if system.registry.waiting_for():
        return False
    return all(system.registry.servable(name, None).report is not None for name in names)


def call_for(servable: Servable, *, protocol: str, body: bytes, seconds: float) -> dict[str, Any]:
    """Predict the rows of one body over and over for some seconds."""
    request = servable.codecs[protocol].decode([], body)
    predict, rows, outputs = servable.predictor.predict, request.rows, request.outputs
    times: list[float] = []
    began = last = perf_counter()
    while last - began < seconds:
        predict(rows, outputs)
        now = perf_counter()
        times.append(now - last)
        last = now
    p50, p99 = np.percentile(times, [50, 99]) * 1e3
    return {
        "requests": len(times),
        "seconds": last - began,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "max_ms": max(times) * 1e3,
    }


def main(models: str, *names: str) -> None:
    """Load, then answer what standard input asks for."""
    servables = asyncio.run(load(Path(models), names))
    print(json.dumps({name: servable.predictor.form for name, servable in servables.items()}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        body = Path(asked["body"]).read_bytes()
        servable = servables[asked["model"]]
        print(
            json.dumps(call_for(servable, protocol=asked["protocol"], body=body, seconds=asked["seconds"])), flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
