"""The other ceiling: the server's own predictor called in a loop, on the server's core, without HTTP or JSON.

python -m loadtests.benchmark.in_process MODELS FORMS: loads the models as the server does, waits until each has the
form that FORMS (JSON) names, says so in a line of JSON, then answers one such line per line it is given.
"""

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from server.serving.servable import Servable
from server.serving.system import System
from server.settings import Settings

_FORM_S = 60.0
_POLL_S = 0.02


async def load(models: Path, forms: dict[str, str]) -> dict[str, Servable]:
    """Run the system without its ports until every model that is named is served in the form that is named."""
    system = System(Settings(models=models))
    async with system.running(), asyncio.timeout(_FORM_S):
        while reason := _missing(system, forms):
            try:
                await asyncio.sleep(_POLL_S)
            except asyncio.CancelledError:
                sys.exit(f"waited {_FORM_S:g} s for {reason}")
        return {model: system.registry.servable(model, None) for model in forms}


def _missing(system: System, forms: dict[str, str]) -> str:
    if reason := system.registry.waiting_for():
        return reason
    for model, form in forms.items():
        now = system.registry.servable(model, None).predictor.form
        if now != form:
            return f"{model} to be served as {form}; it is served as {now}"
    return ""


def call_for(servable: Servable, *, protocol: str, body: bytes, seconds: float) -> dict[str, Any]:
    """Predict the rows of one body over and over for some seconds."""
    request = (servable.v1 if protocol == "v1" else servable.v2).decode(body)
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


def main(models: str, forms: str) -> None:
    """Load, then answer what standard input asks for."""
    servables = asyncio.run(load(Path(models), json.loads(forms)))
    print(json.dumps({"loaded": sorted(servables)}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        body = Path(asked["body"]).read_bytes()
        servable = servables[asked["model"]]
        print(
            json.dumps(call_for(servable, protocol=asked["protocol"], body=body, seconds=asked["seconds"])), flush=True
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
