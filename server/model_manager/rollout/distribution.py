"""Distributions as Prometheus keeps them, and how far two of them are apart; arithmetic only.

Bucket bounds may differ between the histograms that are put together or compared: a version's own follow its training
data. Between two bounds a histogram is taken as uniform, as PromQL's histogram_quantile does; outside of its bounds it
is only known within limits, and is never held to be further from another one than those limits prove.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Shares: TypeAlias = NDArray[np.float64]

RESAMPLES = 9999
_SEED = 1  # the same figures give the same verdict


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values are at most each of some finite, ascending bounds, and how many there are in all."""

    bounds: tuple[float, ...] = ()
    cumulative: tuple[float, ...] = ()
    total: float = 0

    def at_most(self, value: float) -> tuple[float, float]:
        """The least and the most values that can be at most this one; the same between the bounds."""
        if not self.bounds:
            return 0, self.total
        if value < self.bounds[0]:
            return 0, self.cumulative[0]
        if value > self.bounds[-1]:
            return self.cumulative[-1], self.total
        after = bisect_left(self.bounds, value)
        upper, count = self.bounds[after], self.cumulative[after]
        if upper > value:
            lower, before = self.bounds[after - 1], self.cumulative[after - 1]
            count = before + (count - before) * (value - lower) / (upper - lower)
        return count, count

    def quantile(self, q: float) -> float:
        """The value below which a share `q` lies: infinite beyond the last bound, NaN when there are no values.

        What histogram_quantile gives, except that PromQL answers the last bound for what lies beyond it.
        """
        if not self.total:
            return math.nan
        rank = q * self.total
        at = bisect_left(self.cumulative, rank)
        if at == len(self.bounds):
            return math.inf
        upper = self.bounds[at]
        if at == 0 and upper <= 0:
            return upper
        lower, before = (self.bounds[at - 1], self.cumulative[at - 1]) if at else (0.0, 0.0)
        return lower + (upper - lower) * (rank - before) / (self.cumulative[at] - before)


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram of all their values, at the bounds where every one of them is known."""
    parts = [histogram for histogram in histograms if histogram.total]
    bounds, cumulative = [], []
    for bound in sorted({bound for part in parts for bound in part.bounds}):
        known = [part.at_most(bound) for part in parts]
        if all(least == most for least, most in known):
            bounds.append(bound)
            cumulative.append(sum(least for least, _ in known))
    return Histogram(tuple(bounds), tuple(cumulative), sum(part.total for part in parts))


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart two distributions are, 0 to 1, and how likely chance alone would put them that far apart."""

    measure: str
    value: float
    p_value: float


def total_variation(one: Mapping[str, int], other: Mapping[str, int]) -> Distance:
    """Half the sum of the differences of the labels' shares; both sides need at least one.

    Levin, Peres, Wilmer, Markov Chains and Mixing Times, proposition 4.2. Few values of many labels are always far
    apart, so the p-value is that of a resampling test: how often do samples of these sizes, drawn from the two sides
    taken together, lie at least as far apart?
    """
    import numpy as np  # labels alone need it

    labels = sorted({*one, *other})
    counts = np.array([[side.get(label, 0) for label in labels] for side in (one, other)])
    sizes = counts.sum(axis=1)
    value = float(_half_difference(counts[0] / sizes[0], counts[1] / sizes[1]))
    together = counts.sum(axis=0) / counts.sum()
    random = np.random.default_rng(_SEED)
    first, second = (random.multinomial(size, together, RESAMPLES) / size for size in sizes)
    at_least = int(np.count_nonzero(_half_difference(first, second) >= value - 1e-12))
    return Distance("total variation", value, (at_least + 1) / (RESAMPLES + 1))


def chance_of_larger_mean(one: Histogram, other: Histogram) -> float:
    """How likely chance alone makes the mean of `other` exceed that of `one` by as much as it does, by resampling.

    How often do samples of these sizes, drawn from the two taken together, lie at least as far apart? Values are taken
    from the middle of their buckets. Both need at least one value, and bounds at which both are known.
    """
    import numpy as np  # live accuracy alone needs it

    bounds = sorted({*one.bounds} & {*other.bounds})
    if not bounds:
        return 1.0
    values = np.array([(low + high) / 2 for low, high in zip([0.0, *bounds], [*bounds, bounds[-1]], strict=True)])
    counts = np.array(
        [np.diff([0.0, *(side.at_most(bound)[0] for bound in bounds), side.total]) for side in (one, other)]
    )
    sizes = counts.sum(axis=1).round().astype(np.int64)
    means = counts @ values / sizes
    together = counts.sum(axis=0) / counts.sum()
    random = np.random.default_rng(_SEED)
    first, second = (random.multinomial(size, together, RESAMPLES) @ values / size for size in sizes)
    at_least = int(np.count_nonzero(second - first >= means[1] - means[0] - 1e-12 * max(1.0, abs(means[0]))))
    return (at_least + 1) / (RESAMPLES + 1)


def _half_difference(one: "Shares", other: "Shares") -> "Shares":
    half: Shares = abs(one - other).sum(axis=-1) / 2
    return half


def kolmogorov_smirnov(one: Histogram, other: Histogram) -> Distance:
    """The largest difference of the two cumulative shares at any bound of either; both sides need at least one value.

    The two-sample statistic of Kolmogorov and Smirnov with its asymptotic p-value (scipy.stats.ks_2samp). Buckets hide
    differences inside of them: the statistic of the values themselves may be larger.
    """
    value = 0.0
    for bound in {*one.bounds, *other.bounds}:
        (least, most), (other_least, other_most) = one.at_most(bound), other.at_most(bound)
        apart = max(least / one.total - other_most / other.total, other_least / other.total - most / one.total)
        value = max(value, apart)
    size = one.total * other.total / (one.total + other.total)
    return Distance("Kolmogorov-Smirnov", value, chance_of_distance(math.sqrt(size) * value))


def chance_of_distance(scaled: float) -> float:
    """How likely chance alone puts two large samples of one distribution at least this far apart: Kolmogorov's.

    `scaled` is the distance times the root of the samples' size. Of the two series for it, the one that is over after
    few terms: Marsaglia, Tsang, Wang, Evaluating Kolmogorov's Distribution, section 2.
    """
    if scaled < 0.2:
        return 1.0  # but for less than 1e-12
    if scaled < 1:
        terms = (math.exp(-(((2 * k - 1) * math.pi / scaled) ** 2) / 8) for k in range(1, 8))
        return 1.0 - math.sqrt(2 * math.pi) / scaled * sum(terms)
    return 2 * math.fsum(math.copysign(math.exp(-2 * (k * scaled) ** 2), k % 2 - 0.5) for k in range(1, 8))
