"""What Prometheus has seen of each side → Side. The metrics are those of metrics.catalogue, by name.

Counts are exact: the samples themselves are fetched, and resets are added up here. PromQL's increase() would not see
what a series already counts at its first scrape, and an error is the first of its series when it is rare.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from model_manager.rollout.comparison import Side
from model_manager.rollout.distribution import Histogram, merged
from model_manager.rollout.live import Live
from model_manager.rollout.prometheus import Prometheus, Series, quoted

STALENESS_S = 300
"""How long a series is taken to go on after its last sample: Prometheus's own default."""

Counts: TypeAlias = list[tuple[dict[str, str], int]]
"""How much every series grew within the window, by its labels."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which series to compare: one model's, that the matchers select, in a window (s) that ends at a time (Unix, s).

    `label` tells the sides apart: `track` or `model_version`.
    """

    model: str
    label: str
    matchers: tuple[str, ...]
    window_s: int
    at: float


def gather(prometheus: Prometheus, question: Question, side: str) -> Side:
    """Everything that one side did within the window.

    A series that begins within the window is taken to begin at zero. Raises QueryFailed.
    """
    select = ",".join((f"model_name={quoted(question.model)}", f"{question.label}={quoted(side)}", *question.matchers))
    start = question.at - question.window_s

    def counts(metric: str) -> Counts:
        expression = f"{metric}{{{select}}}[{question.window_s + STALENESS_S}s]"
        series = prometheus.matrix(expression, question.at)
        return [(each.metric, increase(each, start)) for each in series]

    answered = counts("model_manager_requests_total")
    states = prometheus.vector(f"model_manager_version_state{{{select}}} == 1", question.at)
    states.sort(key=lambda sample: sample.metric["state"] == "failed")  # last, so that one failed pod is what is shown
    return Side(
        name=side,
        versions=tuple(sorted({labels["model_version"] for labels, count in answered if count})),
        unready={
            sample.metric["model_version"]: sample.metric["state"]
            for sample in states
            if sample.metric["state"] not in ("ready", "draining")
        },
        requests=_summed(answered, "code"),
        dropped=_summed(counts("model_manager_dropped_requests_total"), "reason"),
        rows=sum(count for _, count in counts("model_manager_rows_total")),
        seconds=histogram(counts("model_manager_request_duration_seconds_bucket")),
        labels=_summed(counts("model_manager_predictions_total"), "label"),
        values=histogram(counts("model_manager_prediction_value_bucket")),
        live=_live(prometheus, question, select),
    )


def _live(prometheus: Prometheus, question: Question, select: str) -> Live:
    """How right one side was, of answers whose time for a label ended within the window; and what drifts at its end."""
    start = question.at - question.window_s

    def grown(metric: str) -> list[tuple[dict[str, str], float]]:
        series = prometheus.matrix(f"{metric}{{{select}}}[{question.window_s + STALENESS_S}s]", question.at)
        return [(each.metric, growth(each, start)) for each in series]

    def whole(metric: str) -> Counts:
        return [(labels, round(count)) for labels, count in grown(metric)]

    def largest(metric: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for sample in prometheus.vector(f"{metric}{{{select}}}", question.at):
            column = f"{sample.metric['kind']} {sample.metric['column']}"
            found[column] = max(found.get(column, 0.0), float(sample.value[1]))
        return found

    outcomes = _summed(whole("model_manager_labelled_predictions_total"), "outcome")
    return Live(
        mature=sum(count for _, count in whole("model_manager_mature_predictions_total")),
        right=outcomes.get("right", 0),
        wrong=outcomes.get("wrong", 0),
        off=histogram(whole("model_manager_prediction_absolute_error_bucket")),
        absolute=sum(count for _, count in grown("model_manager_prediction_absolute_error_sum")),
        psi=largest("model_manager_drift_psi"),
        noise=largest("model_manager_drift_psi_noise"),
    )


def increase(series: Series, start: float) -> int:
    """How much a counter of whole numbers grew after `start` (Unix, s); see `growth`."""
    return round(growth(series, start))


def growth(series: Series, start: float) -> float:
    """How much a counter grew after `start` (Unix, s), whatever was reset in between.

    From its last value before, or from zero when it has none.
    """
    times = [time for time, _ in series.values]
    values = [float(value) for _, value in series.values]
    first = bisect_right(times, start)
    before = values[first - 1] if first else 0.0
    grown = 0.0
    for value in values[first:]:
        grown += value - before if value >= before else value
        before = value
    return grown


def histogram(counts: Counts) -> Histogram:
    """One histogram of the `_bucket` series of several processes and versions."""
    processes: defaultdict[frozenset[tuple[str, str]], dict[float, int]] = defaultdict(dict)
    for labels, count in counts:
        process = frozenset((name, value) for name, value in labels.items() if name != "le")
        processes[process][float(labels["le"])] = count
    return merged(map(_of_one_process, processes.values()))


def _of_one_process(buckets: dict[float, int]) -> Histogram:
    # A restart may be seen in one bucket and not in another, so that the counts would go down: PromQL smooths, too.
    counts = list(accumulate((count for _, count in sorted(buckets.items())), max))
    bounds = sorted(buckets)[:-1]
    return Histogram(tuple(bounds), tuple(counts[:-1]), counts[-1])


def _summed(counts: Counts, label: str) -> dict[str, int]:
    """The counts above zero, by one label."""
    sums: Counter[str] = Counter()
    for labels, count in counts:
        sums[labels[label]] += count
    return {value: count for value, count in sorted(sums.items()) if count}
