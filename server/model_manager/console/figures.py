"""Metrics → the few figures of each version that a page draws: totals, of which a browser sees the differences.

In the flow: what a scrape would show → **figures** → the page, every few seconds.
"""

from collections.abc import Sequence
from typing import Any, Final

from model_manager.metrics import REQUEST_SECONDS, REQUESTS, Family

_OK: Final = "200"


def figures_of(families: Sequence[Family], model: str | None = None) -> dict[str, dict[str, Any]]:
    """By `model/version`: requests answered, refused (4xx) and failed since the start, and their times by bucket."""
    found: dict[str, dict[str, Any]] = {}
    for family in families:
        if family.description == REQUESTS:
            for series in family.series:
                name, version, code = series.labels
                if model in (None, name):
                    one = found.setdefault(f"{name}/{version}", _nothing())
                    one["ok" if code == _OK else "refused" if code.startswith("4") else "failed"] += series.value
        elif family.description == REQUEST_SECONDS:
            for series in family.series:
                name, version = series.labels[:2]
                if model in (None, name) and series.counts is not None:
                    one = found.setdefault(f"{name}/{version}", _nothing())
                    one["bounds"] = list(series.bounds or family.description.bounds)
                    one["counts"] = list(series.counts)
    return found


def _nothing() -> dict[str, Any]:
    return {"ok": 0, "refused": 0, "failed": 0, "bounds": [], "counts": []}
