"""Add up the metrics of several processes: one scrape for one pod, without files that outlive their process.

In the flow: each worker hands over its families as plain values → **merge** in the supervisor → exposition.
"""

from collections.abc import Callable, Iterable
from operator import add

from model_manager.metrics.instruments import Exemplar, Family, Series

_COMBINE: dict[str, Callable[[float, float], float]] = {"sum": add, "max": max, "min": min}


def merge_families(processes: Iterable[Iterable[Family]]) -> list[Family]:
    """Combine the families of several processes into one list, in the order in which they first appear.

    Changes what it is given. Histograms add up bucket by bucket; of two exemplars the newer one stays. While processes
    replace a version one after the other, its series may have other bounds in each: the newest are shown, without what
    was counted by others.
    """
    merged: dict[str, Family] = {}
    known: dict[tuple[object, ...], Series] = {}
    for families in processes:
        for family in families:
            whole = merged.setdefault(family.description.name, Family(family.description, []))
            combine = _COMBINE[family.description.across]
            for series in family.series:
                key = (family.description.name, series.labels)
                total = known.get(key)
                if total is None:
                    known[key] = series
                    whole.series.append(series)
                elif total.bounds != series.bounds:
                    if series.since > total.since:
                        _replace(total, series)
                else:
                    total.value = combine(total.value, series.value)
                    _add_buckets(total, series)
    return list(merged.values())


def _replace(total: Series, series: Series) -> None:
    total.value, total.counts, total.bounds = series.value, series.counts, series.bounds
    total.exemplars, total.since = series.exemplars, series.since


def _add_buckets(total: Series, series: Series) -> None:
    if total.counts is None or series.counts is None:
        return
    total.since = max(total.since, series.since)
    total.counts = [a + b for a, b in zip(total.counts, series.counts, strict=True)]
    exemplars: dict[int, Exemplar] = dict(total.exemplars or {})
    for bucket, exemplar in (series.exemplars or {}).items():
        if bucket not in exemplars or exemplar.timestamp > exemplars[bucket].timestamp:
            exemplars[bucket] = exemplar
    total.exemplars = exemplars or None
