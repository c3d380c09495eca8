"""The server that turns metrics and traces off and on again every half second, to tell what they cost.

python -m loadtests.benchmark.alternating takes the arguments of `model-manager`, and appends a line of JSON to the file
that ALTERNATING_LOG names for each half second: [on, requests, seconds].

Two processes of one program differ by more than telemetry costs, as does one process from second to second. Halves of
the same second in one process do not. A batch of spans leaves when it is full, which happens while they are made: what
sending costs falls into the halves that it belongs to.

No setting of the server does this: nobody should run blind for a few percent.
"""

import asyncio
import gc
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import Any, TextIO, TypeVar

from model_manager.api.predict import Predict
from model_manager.metrics.recording import DropReason, Metrics, ServableMetrics
from model_manager.serving.batcher import Batcher
from model_manager.signature import Array, Signature

LOG = "ALTERNATING_LOG"
_HALF_S = 0.5

_T = TypeVar("_T", Predict, Batcher)


class Uncounted(ServableMetrics):
    """Forgets what it is told."""

    def failed(self, code: int, request: float) -> None:
        """Do nothing."""

    def dropped(self, reason: DropReason) -> None:
        """Do nothing."""

    def ran(
        self, waits: Iterable[float], batch: float, predict: float, calls: Iterable[tuple[int, Mapping[str, Array]]]
    ) -> None:
        """Do nothing."""

    def fold(self) -> None:
        """Do nothing."""


class Alternating(Metrics):
    """Metrics that alternate, with what the endpoints observe, once there is a version to be asked."""

    def __init__(self, halves: TextIO) -> None:
        super().__init__()
        self._halves = halves
        self._endpoints = _remembered(Predict)
        self._batchers = _remembered(Batcher)
        self._alternating: asyncio.Task[None] | None = None

    def servable(
        self, model: str, version: str, signature: Signature | None = None, edges: Sequence[float] | None = None
    ) -> ServableMetrics:
        """The view of one version."""
        if self._alternating is None:
            self._alternating = asyncio.create_task(self._alternate())
        return super().servable(model, version, signature, edges)

    async def _alternate(self) -> None:
        observers = [(endpoint, endpoint._observer) for endpoint in self._endpoints]
        on = False
        while True:
            on = not on
            for endpoint, observer in observers:
                endpoint._observer = observer if on else None
            for batcher in self._batchers:
                _switch(batcher._metrics, on)
            began, arrived = perf_counter(), self._arrived()
            await asyncio.sleep(_HALF_S)
            self._halves.write(json.dumps([on, self._arrived() - arrived, perf_counter() - began]) + "\n")

    def _arrived(self) -> int:
        return sum(batcher._arrivals for batcher in self._batchers)


def _remembered(kind: type[_T]) -> list[_T]:
    """The list of every object of this kind that will be made."""
    made: list[_T] = []
    initialize = kind.__init__

    def remember(self: _T, *arguments: Any, **named: Any) -> None:
        initialize(self, *arguments, **named)
        made.append(self)

    kind.__init__ = remember  # type: ignore[method-assign]
    return made


def _switch(view: ServableMetrics, on: bool) -> None:
    view.__class__ = ServableMetrics if on else Uncounted
    view.answered = view._answers.extend if on else id  # which does nothing, at the least a call can cost


def main() -> None:
    """Do what `model-manager` does, started in the same way."""
    gc.disable()
    from model_manager import process
    from model_manager.cli import cli

    gc.freeze()
    gc.enable()
    with open(os.environ[LOG], "w", buffering=1) as halves:
        process.run = partial(process.run, metrics=Alternating(halves))
        cli(prog_name="model-manager")


if __name__ == "__main__":
    main()
