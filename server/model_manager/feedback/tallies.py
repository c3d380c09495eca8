"""What is known of one version's accuracy as plain values: they add up over processes, and become metrics and a report.

In the flow: kept, in each process → **tallies** → scrape and admin port, of one process or of a pod.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from model_manager.feedback.sums import ERRORS, LAGS, LOSSES, Sums
from model_manager.metrics import Counted, Family, LiveAccuracy, LiveFamilies

_DIGITS: Final = 6


class AccuracyTally(msgspec.Struct):
    """One version: `window_s` in which a label may come; rows that wait for their time to be over, those of them with a
    label; answers that had to go before; and what was counted, since the version is served and in the last hour.
    """

    model: str
    version: str
    window_s: float
    waiting: int
    waiting_labelled: int
    evicted: int
    total: Sums
    hour: Sums


def add_up_accuracy(processes: Iterable[Iterable[AccuracyTally]]) -> list[AccuracyTally]:
    """Add the tallies of several processes up, version by version. Changes what it is given."""
    known: dict[tuple[str, str], AccuracyTally] = {}
    for tallies in processes:
        for tally in tallies:
            whole = known.setdefault((tally.model, tally.version), tally)
            if whole is tally:
                continue
            whole.waiting += tally.waiting
            whole.waiting_labelled += tally.waiting_labelled
            whole.evicted += tally.evicted
            whole.total.add(tally.total)
            whole.hour.add(tally.hour)
    return list(known.values())


def families_of_accuracy(tallies: Iterable[AccuracyTally]) -> list[Family]:
    """The metrics of tallies."""
    live = LiveFamilies()
    for tally in tallies:
        total = tally.total
        live.add_accuracy(
            LiveAccuracy(
                tally.model,
                tally.version,
                mature=total.mature,
                labelled={"right": total.right, "wrong": total.wrong, "number": sum(total.errors)},
                errors=Counted(ERRORS, total.errors, total.absolute),
                losses=Counted(LOSSES, total.losses, total.loss),
                lags=Counted(LAGS, total.lags, total.lag),
                evicted=tally.evicted,
                figures=tally.hour.figures,
                coverage=tally.hour.coverage,
            )
        )
    return live.families()


def report_accuracy(tally: AccuracyTally) -> dict[str, Any]:
    """Everything that is known of a version's accuracy, fit for JSON."""
    return {
        "model_name": tally.model,
        "model_version": tally.version,
        "window_s": tally.window_s,
        "waiting": tally.waiting,
        "waiting_labelled": tally.waiting_labelled,
        "evicted": tally.evicted,
        "total": _told(tally.total),
        "last_hour": _told(tally.hour),
    }


def _told(sums: Sums) -> dict[str, Any]:
    return {
        "predictions": sums.mature,
        "labelled": sums.labelled,
        "coverage": None if sums.coverage is None else round(sums.coverage, _DIGITS),
        "mean_lag_s": round(sums.lag / sums.labelled, 3) if sums.labelled else None,
        "metrics": {name: round(value, _DIGITS) for name, value in sums.figures.items()},
    }
