"""A real Prometheus that remembers what a test wrote: promtool makes its blocks from OpenMetrics text.

No waiting for scrapes, and a rollout that went wrong in any way that can be written down.
"""

import subprocess
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.observability.prometheus import Prometheus
from tools.parts import program_of_debian

NOW = 1_793_631_600  # 2026-11-02 15:00:00 UTC
SCRAPES = range(NOW - 1800, NOW + 1, 15)

SECONDS = [2.0**exponent for exponent in range(-15, 4)]
QUICK = sorted(np.random.default_rng(1).lognormal(np.log(0.002), 0.4, 10_000).tolist())
LABELS = {"setosa": 33, "versicolor": 35, "virginica": 32}
VALUE_BOUNDS = {"1": (200.0, 250.0, 280.0, 300.0, 320.0, 350.0, 400.0), "2": (150.0, 260.0, 290.0, 310.0, 390.0)}


class History:
    """Series, as half an hour of scrapes saw them until NOW."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, labels: Mapping[str, str], samples: Iterable[tuple[int, float]]) -> None:
        """Add one series: Unix times in ascending order, and values."""
        told = ",".join(f'{label}="{value}"' for label, value in labels.items())
        self._lines.extend(f"{name}{{{told}}} {value} {time}\n" for time, value in samples)

    def counted(self, name: str, labels: Mapping[str, str], before: float, within: float, window_s: int = 600) -> None:
        """Add a counter that grew evenly: `before` the window, and `within` it."""
        start = NOW - window_s
        self.add(name, labels, ((time, before + within * max(0, time - start) // window_s) for time in SCRAPES))

    @contextmanager
    def served(self, folder: Path) -> Iterator[str]:
        """The address of a Prometheus that has all this; skips the test, or fails it, when there is none."""
        promtool = program_of_debian("promtool", "prometheus")
        text, data, configuration = folder / "history.txt", folder / "prometheus", folder / "prometheus.yml"
        text.write_text("".join([*self._lines, "# EOF\n"]))
        configuration.write_text("{}")
        command: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, data]
        subprocess.run(command, check=True, capture_output=True)
        with Prometheus(configuration, flags=["--storage.tsdb.retention.time=100y", "--log.level=error"]) as running:
            yield running.api


def write_side(
    history: History,
    model: str,
    track: str,
    codes: Mapping[str, int],
    *,
    labels: Mapping[str, int] | None = LABELS,
    values: Sequence[float] | None = None,
    slowness: float = 1.0,
    dropped: Mapping[str, int] | None = None,
) -> None:
    """What one track does: requests by code within the window; the label shares are per cent of the requests."""
    version = {"stable": "1", "canary": "2"}[track]
    one = {"model_name": model, "model_version": version, "track": track, "namespace": "models", "pod": f"{track}-0"}
    count = sum(codes.values())
    history.add("model_manager_version_state", {**one, "state": "ready"}, ((time, 1) for time in SCRAPES))
    for code, answered in codes.items():
        history.counted("model_manager_requests_total", {**one, "code": code}, 7, answered)
    for reason, refused in (dropped or {}).items():
        history.counted("model_manager_dropped_requests_total", {**one, "reason": reason}, 0, refused)
    history.counted("model_manager_rows_total", one, 0, 2 * count)
    _write_histogram(
        history, "model_manager_request_duration_seconds", one, SECONDS, count, [s * slowness for s in QUICK]
    )
    if values is not None:
        ordered = sorted(values)
        _write_histogram(history, "model_manager_prediction_value", one, VALUE_BOUNDS[version], 2 * count, ordered)
    for label, share in (labels or {}).items():
        history.counted("model_manager_predictions_total", {**one, "label": label}, 3, 2 * count * share // 100)


def _write_histogram(
    history: History,
    name: str,
    labels: Mapping[str, str],
    bounds: Sequence[float],
    count: int,
    ordered: Sequence[float],
) -> None:
    """A histogram of `count` values with the distribution of the ordered ones."""
    for bound in bounds:
        below = count * bisect_right(ordered, bound) // len(ordered)
        history.counted(f"{name}_bucket", {**labels, "le": str(bound)}, 0, below)
    history.counted(f"{name}_bucket", {**labels, "le": "+Inf"}, 0, count)
