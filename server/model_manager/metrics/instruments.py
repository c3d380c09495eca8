"""Counters and histograms for the event loop: what one costs on the request path is a bisection and two additions.

In the flow: request path and manager → **instruments** → exposition (one process) or merge (several) → scrape.

prometheus-client's own take a lock for every observation, for the sake of threads that the loop does not share them
with, and need half a second to write what a thousand versions have to say. These are for one thread.
"""

from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass
from operator import add
from time import time_ns
from typing import Final, Literal

import msgspec
import numpy as np

from model_manager.signature import Array

_FEW: Final = 64
_OWNER: Final = 2
"""So many labels, the first, say whose a series is: model and version, for whatever has those."""

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Description:
    """What a metric is, for scrapers and for docs/metrics.md.

    `name` goes without the `_total` of counters. `unit` is a base unit or empty. `bounds`: upper bounds of a
    histogram's buckets, without infinity. `across` says how the values of several processes become one. `query` is an
    example in PromQL.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    bounds: tuple[float, ...] = ()
    across: Literal["sum", "max", "min"] = "sum"
    query: str = ""


class Exemplar(msgspec.Struct, array_like=True, frozen=True):
    """One observation that can be looked up in a trace; `timestamp` in Unix seconds."""

    trace_id: str
    value: float
    timestamp: float


class Series(msgspec.Struct, array_like=True, gc=False):  # in no cycle, and there are many
    """The values of one set of labels.

    `value`: the value of a counter or gauge, the sum of a histogram. `counts`: observations by bucket, not cumulative,
    the last one unbounded. `exemplars`: the newest of each bucket that has one. `since`: when it began, in Unix
    nanoseconds, where its bounds are not those of the metric; of two series with other bounds the later one holds.
    """

    labels: tuple[str, ...]
    value: float = 0
    counts: list[int] | None = None
    bounds: tuple[float, ...] = ()
    exemplars: dict[int, Exemplar] | None = None
    since: int = 0

    def inc(self, by: float = 1) -> None:
        """Count."""
        self.value += by

    def observe(self, value: float) -> None:
        """Count a value in its bucket."""
        assert self.counts is not None
        self.counts[bisect_left(self.bounds, value)] += 1
        self.value += value

    def observe_all(self, values: Sequence[float] | Array) -> None:
        """Count several values: one by one where they are few, else at once, for a tenth of that."""
        observe_rows((self,), values)

    def exemplify(self, value: float, trace_id: str, timestamp: float) -> None:
        """Let the bucket of a value that was observed at a Unix time point to its trace."""
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar(trace_id, value, timestamp)


def observe_rows(columns: Sequence[Series], values: Sequence[float] | Array) -> None:
    """Count values that lie row by row, one of each series; the series have the same bounds."""
    width = len(columns)
    if len(values) < _FEW * width:
        for place, series in enumerate(columns):
            for value in values[place::width]:
                series.observe(float(value))
        return
    table = np.asarray(values).reshape(-1, width)
    buckets, sums = np.searchsorted(columns[0].bounds, table), table.sum(axis=0).tolist()
    for place, series in enumerate(columns):
        assert series.counts is not None
        counted = np.bincount(buckets[:, place], minlength=len(series.counts)).tolist()
        series.counts[:] = map(add, series.counts, counted)
        series.value += sums[place]


class Family(msgspec.Struct, array_like=True):
    """One metric with the series it has at the moment."""

    description: Description
    series: list[Series]


class Instrument:
    """The series of one counter or histogram, by label values. Not thread-safe: use it on the event loop only."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self._series: dict[tuple[str, ...], Series] = {}
        self._owned: dict[tuple[str, ...], list[tuple[str, ...]]] = {}  # so that one version's are found among all

    def labels(self, *values: str, bounds: tuple[float, ...] = ()) -> Series:
        """The series of label values, in the order of the label names; `bounds` if they are not those of the metric.

        Where the series is there with other bounds, a new one takes its place.
        """
        series = self._series.get(values)
        if series is None:
            self._owned.setdefault(values[:_OWNER], []).append(values)
        if series is None or (bounds and series.bounds != bounds):
            since = time_ns() if bounds else 0
            bounds = bounds or self._description.bounds
            counts = [0] * (len(bounds) + 1) if self._description.kind == "histogram" else None
            series = self._series[values] = Series(values, 0, counts, bounds, since=since)
        return series

    def has(self, *owner: str) -> bool:
        """Whether a version has series."""
        return owner in self._owned

    def owned(self, *owner: str) -> list[Series]:
        """The series of a version."""
        return [self._series[labels] for labels in self._owned.get(owner, ())]

    def remove(self, *owner: str, but: Container[tuple[str, ...]] = ()) -> None:
        """Drop every series of a version, except those whose label values are listed."""
        kept = []
        for labels in self._owned.pop(owner, ()):
            if labels in but:
                kept.append(labels)
            else:
                del self._series[labels]
        if kept:
            self._owned[owner] = kept

    def family(self) -> Family:
        """What was counted so far."""
        return Family(self._description, list(self._series.values()))
