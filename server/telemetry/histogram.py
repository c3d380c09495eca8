"""Histograms that are observed on the request path: a bisection and two additions, for one thread.

prometheus-client's own take a lock and a scan of the buckets for every observation, for the sake of threads that the
event loop does not share its observations with. Exposed through a registry like any other metric.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class BoundHistogram:
    """One histogram with its labels bound. Not thread-safe: observe on one thread only."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, or the same value several times."""
        self.counts[bisect_left(self._bounds, value)] += times
        self.sum += value * times


class LoopHistogram(Collector):
    """A histogram by labels; `buckets` are upper bounds in ascending order, without infinity."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labelnames = tuple(labelnames)
        self._bounds = tuple(buckets)
        self._words = [floatToGoString(bound) for bound in (*buckets, math.inf)]  # type: ignore[no-untyped-call]
        self._bound: dict[tuple[str, ...], BoundHistogram] = {}
        registry.register(self)

    def labels(self, *values: str) -> BoundHistogram:
        """Bind label values, in the order of the label names."""
        return self._bound.setdefault(values, BoundHistogram(self._bounds))

    def remove(self, *values: str) -> None:
        """Drop the series of these label values, if there are any."""
        self._bound.pop(values, None)

    def describe(self) -> Iterable[Metric]:
        """Yield the family without samples, which is all that registering needs."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)]

    def collect(self) -> Iterable[Metric]:
        """Yield the family with all that was observed so far."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, bound in list(self._bound.items()):
            cumulative = accumulate(bound.counts)
            family.add_metric(values, list(zip(self._words, cumulative, strict=True)), bound.sum)
        yield family
