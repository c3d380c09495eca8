"""The server with metrics that count nothing, to measure what counting costs: python -m loadtests.benchmark.unobserved.

Takes the flags of `model-manager serve` that the bench gives it. No setting of the server does this: nobody should run
blind for a few percent.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from server import process
from server.settings import Settings
from server.signature import Array, Signature
from server.telemetry.logs import configure_logging
from server.telemetry.metrics import DropReason, Metrics, ServableMetrics


class UncountedServable(ServableMetrics):
    """Forgets what it is told."""

    def answered(self, request: float, decode: float, encode: float) -> None:
        """Do nothing."""

    def failed(self, code: int, request: float) -> None:
        """Do nothing."""

    def dropped(self, reason: DropReason) -> None:
        """Do nothing."""

    def waited(self, queue: float) -> None:
        """Do nothing."""

    def ran(self, batch: float, predict: float, calls: Iterable[tuple[int, Mapping[str, Array]]]) -> None:
        """Do nothing."""

    def fold(self) -> None:
        """Do nothing."""


class Uncounted(Metrics):
    """Gives every version metrics that count nothing."""

    def servable(
        self, model: str, version: str, signature: Signature | None = None, edges: Sequence[float] | None = None
    ) -> ServableMetrics:
        """The view of one version."""
        return UncountedServable(self, model, version, signature, edges)


def main() -> int:
    """Serve until SIGTERM."""
    names, values = sys.argv[1::2], sys.argv[2::2]
    given: dict[str, Any] = dict(zip((name[2:].replace("-", "_") for name in names), values, strict=True))
    settings = Settings(**given)
    configure_logging(form=settings.log_format, level=settings.log_level)
    return process.run(settings, Uncounted())


if __name__ == "__main__":
    sys.exit(main())
