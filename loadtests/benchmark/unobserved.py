"""The server with metrics that count nothing, to measure what counting costs: python -m loadtests.benchmark.unobserved.

Takes the arguments of `model-manager`. No setting of the server does this: nobody should run
blind for a few percent.
"""

import gc
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from server.signature import Array, Signature
from server.telemetry.metrics import DropReason, Metrics, ServableMetrics


class UncountedServable(ServableMetrics):
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


class Uncounted(Metrics):
    """Gives every version metrics that count nothing."""

    def servable(
        self, model: str, version: str, signature: Signature | None = None, edges: Sequence[float] | None = None
    ) -> ServableMetrics:
        """The view of one version."""
        view = UncountedServable(self, model, version, signature, edges)
        view.answered = id  # does nothing, at the least a call can cost
        return view


def main() -> None:
    """Do what `model-manager` does, started in the same way, so that nothing else is compared."""
    gc.disable()
    from server import process
    from server.cli import cli

    gc.freeze()
    gc.enable()
    process.run = partial(process.run, metrics=Uncounted())
    cli(prog_name="model-manager")


if __name__ == "__main__":
    main()
