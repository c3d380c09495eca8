"""Two answers to each row → how far chance explains that one is better. Pure: arrays in, numbers out.

Place in the flow: below comparison, which says what the numbers mean. Everything is paired: both sides answered the
same rows, so that a row which is hard for both tells nothing, and far fewer rows are needed than for two samples.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy import stats

from model_manager.evaluation.paired_metrics import Measure
from model_manager.signature import Array

LEVEL: Final = 0.95
"""Of so many intervals in a hundred, the truth is within."""

RESAMPLES: Final = 2_000
_MOST_WEIGHTS: Final = 20_000_000
_WEIGHTS_AT_ONCE: Final = 4_000_000
_LEAST_RESAMPLES: Final = 200
_ALL_SIGNS: Final = 14
"""Up to so many rows that differ, every way in which their signs may fall is looked at."""
_DRAWN_SIGNS: Final = 9_999
_MOST_SIGNED_ROWS: Final = 5_000
_SEED: Final = 20_010_911


def mcnemar(only_a: int, only_b: int) -> float:
    """How likely two equally good classifiers are this far apart, or farther: McNemar's exact test, two-sided.

    `only_a` rows were right in A's answers alone, `only_b` in B's.
    """
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def paired_share_interval(only_a: int, only_b: int, rows: int) -> tuple[float, float]:
    """The interval of B's share of right answers less A's, by Bonett and Price (2012).

    Unlike a bootstrap it is not empty where the two agree on every row: few rows prove little.
    """
    gained, lost = (only_b + 1) / (rows + 2), (only_a + 1) / (rows + 2)
    difference = gained - lost
    half = stats.norm.ppf(0.5 + LEVEL / 2) * math.sqrt((gained + lost - difference**2) / (rows + 2))
    return max(-1.0, difference - half), min(1.0, difference + half)


def sign_flip(differences: Array) -> float:
    """How likely a mean this far from zero, or farther, is where A and B could change places in every row; two-sided.

    Exact for few differences, drawn for more (the chance is never understated by it), normal for very many. Of
    differences of one size it is McNemar's test.
    """
    moved = np.abs(differences[differences != 0].astype(np.float64))
    if not len(moved):
        return 1.0
    moved /= moved.max()
    signs = np.sign(differences[differences != 0])
    if np.ptp(moved) < 1e-9:
        return mcnemar(int((signs < 0).sum()), int((signs > 0).sum()))
    observed = abs(float(moved @ signs)) * (1 - 1e-9)
    if len(moved) <= _ALL_SIGNS:
        ways = np.arange(2 ** len(moved))[:, np.newaxis] >> np.arange(len(moved)) & 1
        return float(np.mean(np.abs((1 - 2 * ways) @ moved) >= observed))
    if len(moved) > _MOST_SIGNED_ROWS:
        return float(2 * stats.norm.sf(observed / math.sqrt(float(moved @ moved))))
    random = np.random.default_rng(_SEED)
    as_far = 0
    for drawn in _portions(_DRAWN_SIGNS, len(moved)):
        ways = random.integers(0, 2, (drawn, len(moved)), dtype=np.int8)
        as_far += int((np.abs((1.0 - 2 * ways) @ moved) >= observed).sum())
    return (1 + as_far) / (1 + _DRAWN_SIGNS)


def bootstrap_differences(pairs: Mapping[str, tuple[Measure, Measure]], rows: int) -> dict[str, Array]:
    """Draw the rows anew, with replacement, again and again: each metric's difference, B less A, in every draw.

    Both sides of a pair are measured on the same draw. The draws are the same in every run; tables of more than
    10,000 rows get fewer of them. NaN where a draw leaves a metric without meaning.
    """
    resamples = max(_LEAST_RESAMPLES, min(RESAMPLES, _MOST_WEIGHTS // rows))
    random = np.random.default_rng(_SEED)
    found: dict[str, list[Array]] = {name: [] for name in pairs}
    for drawn in _portions(resamples, rows):
        taken = random.integers(0, rows, (drawn, rows)) + np.arange(drawn)[:, np.newaxis] * rows
        weights = np.bincount(taken.ravel(), minlength=drawn * rows).reshape(drawn, rows).astype(np.float64)
        for name, (a, b) in pairs.items():
            found[name].append(b.weighted(weights) - a.weighted(weights))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def interval_of(draws: Array) -> tuple[float, float] | None:
    """The percentile interval of what was drawn; None where too many draws have no value."""
    known = draws[np.isfinite(draws)]
    if len(known) < LEVEL * len(draws):
        return None
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def chance_of(draws: Array) -> float:
    """How likely a difference this far from zero, or farther, is by chance, from what was drawn; two-sided."""
    known = draws[np.isfinite(draws)]
    beyond = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2 * (1 + beyond) / (1 + len(known)))


def _portions(count: int, width: int) -> list[int]:
    """Part a count of draws so that what is held at once stays small."""
    at_once = max(1, _WEIGHTS_AT_ONCE // width)
    return [min(at_once, count - begin) for begin in range(0, count, at_once)]
