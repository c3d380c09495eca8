"""The server that turns metrics and traces, or drift, off and on again every half second, to tell what they cost.

python -m loadtests.benchmark.alternating takes the arguments of `model-manager serve`, and appends a line of JSON for
each half second, [on, requests, seconds], to the file that ALTERNATING_LOG names. ALTERNATING=drift: only drift.

Two processes of one program differ by more than telemetry costs, as does one process from second to second. Halves of
the same second in one process do not. A batch of spans leaves when it is full, which happens while they are made: what
sending costs falls into the halves that it belongs to.

No setting of the server does this: nobody should run blind for a few percent.
"""

import asyncio
import gc
import json
import os
from functools import partial
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from model_manager.serving.system import System

LOG = "ALTERNATING_LOG"
WHAT = "ALTERNATING"
_HALF_S = 0.5


def switch_drift(system: "System", on: bool) -> None:
    """Hand rows over when they are due, or none."""
    for view in system.registry.models.values():
        for servable in view.ready.values():
            servable.batcher.drift.due = 0.0 if on else inf


async def alternate(system: "System", *, log: TextIO) -> None:
    """Switch observation every half second, until cancelled."""
    on = False
    switch = switch_drift if os.environ.get(WHAT) == "drift" else type(system).switch_observation
    while True:
        on = not on
        switch(system, on)
        began, arrived = perf_counter(), _arrived(system)
        await asyncio.sleep(_HALF_S)
        log.write(json.dumps([on, _arrived(system) - arrived, perf_counter() - began]) + "\n")


def _arrived(system: "System") -> int:
    views = system.registry.models.values()
    return sum(servable.batcher.arrivals for view in views for servable in view.ready.values())


def main() -> None:
    """Do what `model-manager serve` does, started in the same way."""
    gc.disable()
    from model_manager import process
    from model_manager.cli import settings_from, settings_options

    gc.freeze()
    gc.enable()

    @click.command()
    @settings_options
    def serve(**flags: object) -> None:
        with open(os.environ[LOG], "w", buffering=1) as log:
            raise SystemExit(process.run(settings_from(flags), beside=partial(alternate, log=log)))

    serve()


if __name__ == "__main__":
    main()
