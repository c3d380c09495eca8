"""Values that already exist in the running system, read at scrape time instead of being mirrored into gauges.

In the flow: system, at a scrape → **live** → exposition, or merge in a supervisor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from model_manager.metrics.catalogue import drift, explanations, feedback, fetching, process, requests, versions
from model_manager.metrics.instruments import Description, Family, Series

VersionLabels: TypeAlias = tuple[str, str]
"""A model and a version of it."""


@dataclass(frozen=True, slots=True)
class LiveServable:
    """What a scrape shows of a version that serves, and is the same at the next one, until it is computed otherwise.

    `info`: digest and library versions. `load_seconds`: by phase. `speedup`: by rows. `form_failures`: by form.
    """

    queue_limit_rows: int
    timeout_s: float
    info: tuple[str, str, str]
    load_seconds: Mapping[str, float]
    golden_rows: int
    form: str
    speedup: Mapping[int, float]
    largest_difference: float
    form_failures: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Convergence:
    """How far what is served is from what is wanted. `generation`s count wanted states; times in seconds."""

    wanted_generation: int = 0
    in_force_generation: int = 0
    lag_s: float = 0.0
    last_timestamp: float = 0.0


@dataclass(frozen=True, slots=True)
class DriftedColumn:
    """How far a feature or an output lies from its baseline; `noise` is the PSI that chance alone may show."""

    kind: str
    name: str
    psi: float
    js: float
    noise: float


@dataclass(frozen=True, slots=True)
class LiveDrift:
    """What a scrape shows of a version's drift: where its baseline comes from, and the columns that drifted most."""

    model: str
    version: str
    baseline: str
    rows: int
    drifted: int
    columns: Sequence[DriftedColumn]


@dataclass(frozen=True, slots=True)
class Counted:
    """A histogram: the upper bounds of its buckets, what each counted, the last one unbounded, and the sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float


@dataclass(frozen=True, slots=True)
class LiveAccuracy:
    """What a scrape shows of a version's live accuracy; `figures` and `coverage` are those of the last hour."""

    model: str
    version: str
    mature: int
    labelled: Mapping[str, int]
    errors: Counted
    losses: Counted
    lags: Counted
    evicted: int
    figures: Mapping[str, float]
    coverage: float | None


class LiveFamilies:
    """Gathers one family for each live value, with a sample for everything that has it."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def add_version(self, labels: VersionLabels, state: str, *, quarantined: bool, weight: int | None) -> None:
        """Read one version, ready or not; `weight` of its traffic, in percent."""
        self._add(versions.VERSION_STATE, (*labels, state))
        if quarantined:
            self._add(versions.VERSION_QUARANTINED, labels)
        if weight is not None:
            self._add(versions.TRAFFIC_WEIGHT, labels, weight / 100)

    def add_traffic(self, labels: VersionLabels, *, default: bool, in_flight: int, queue_rows: int) -> None:
        """Read what changes from moment to moment of a version that serves."""
        if default:
            self._add(versions.DEFAULT_VERSION, labels)
        self._add(requests.REQUESTS_IN_FLIGHT, labels, in_flight)
        self._add(requests.QUEUE_ROWS, labels, queue_rows)

    def add_servable(self, labels: VersionLabels, one: LiveServable) -> None:
        """Read what stays the same of a version that serves."""
        self._add(requests.QUEUE_LIMIT_ROWS, labels, one.queue_limit_rows)
        self._add(requests.TIMEOUT_SECONDS, labels, one.timeout_s)
        self._add(versions.VERSION_INFO, (*labels, *one.info))
        self._add(versions.GOLDEN_ROWS, labels, one.golden_rows)
        for phase, seconds in one.load_seconds.items():
            self._add(versions.VERSION_LOAD_SECONDS, (*labels, phase), seconds)
        self._add(versions.PREDICTOR_FORM, (*labels, one.form))
        for rows, gain in one.speedup.items():
            self._add(versions.PREDICTOR_SPEEDUP, (*labels, str(rows)), gain)
        self._add(versions.PREDICTOR_DIFFERENCE, labels, one.largest_difference)
        for form, times in one.form_failures.items():
            self._add(versions.FORM_FAILURES, (*labels, form), times)

    def add_convergence(self, now: Convergence) -> None:
        """Read what is wanted against what is in force."""
        self._add(versions.WANTED_GENERATION, (), now.wanted_generation)
        self._add(versions.IN_FORCE_GENERATION, (), now.in_force_generation)
        self._add(versions.CONVERGENCE_LAG, (), now.lag_s)
        self._add(versions.LAST_CONVERGENCE, (), now.last_timestamp)

    def add_process(self, *, ready: bool, version: str, threads_given_up: int) -> None:
        """Read what the process says of itself: whether it should get traffic, its version, lost threads."""
        self._add(process.THREADS_GIVEN_UP, (), threads_given_up)
        self._add(process.READY, (), float(ready))
        self._add(process.BUILD_INFO, (version,))

    def add_unclean_ends(self, ends: Mapping[str, int]) -> None:
        """Read how many server processes ended without being asked to, by how."""
        for how, count in ends.items():
            self._add(process.UNCLEAN_ENDS, (how,), count)

    def add_unanswered_questions(self, times: Mapping[str, int]) -> None:
        """Read how often a worker did not answer its supervisor, by what it was asked about."""
        for about, count in times.items():
            self._add(process.UNANSWERED_QUESTIONS, (about,), count)

    def add_spans(self, exported: int, dropped: Mapping[str, int]) -> None:
        """Read how many spans were sent, and how many were not, by reason."""
        self._add(process.SPANS_EXPORTED, (), exported)
        for reason, count in dropped.items():
            self._add(process.SPANS_DROPPED, (reason,), count)

    def add_records(self, *, sent: int, sampled_out: int, dropped: int) -> None:
        """Read what became of prediction records."""
        for outcome, count in (("sent", sent), ("sampled_out", sampled_out), ("dropped", dropped)):
            self._add(process.PREDICTION_RECORDS, (outcome,), count)

    def add_fetches(
        self, *, bytes: int, seconds: float, from_cache: int, failures: Mapping[str, int], cached_bytes: int
    ) -> None:
        """Read what was fetched of remote artifacts, and what the cache holds."""
        self._add(fetching.FETCHED_BYTES, (), bytes)
        self._add(fetching.FETCH_SECONDS, (), seconds)
        self._add(fetching.FETCHED_FROM_CACHE, (), from_cache)
        self._add(fetching.CACHE_BYTES, (), cached_bytes)
        for reason, count in failures.items():
            self._add(fetching.FETCH_FAILURES, (reason,), count)

    def add_drift(self, one: LiveDrift) -> None:
        """Read how far a version's rows and answers lie from its baseline."""
        labels = (one.model, one.version)
        self._add(drift.DRIFT_ROWS, (*labels, one.baseline), one.rows)
        self._add(drift.DRIFTED_COLUMNS, labels, one.drifted)
        for column in one.columns:
            of_column = (*labels, column.kind, column.name)
            self._add(drift.DRIFT_PSI, of_column, column.psi)
            self._add(drift.DRIFT_JS, of_column, column.js)
            self._add(drift.DRIFT_NOISE, of_column, column.noise)

    def add_accuracy(self, one: LiveAccuracy) -> None:
        """Read how right a version was; nothing that its kind of answer, or the want of labels, leaves empty."""
        labels = (one.model, one.version)
        self._add(feedback.MATURE_PREDICTIONS, labels, one.mature)
        self._add(feedback.FEEDBACK_EVICTED, labels, one.evicted)
        for outcome, count in one.labelled.items():
            if count:
                self._add(feedback.LABELLED_PREDICTIONS, (*labels, outcome), count)
        histograms = (
            (feedback.ABSOLUTE_ERROR, one.errors),
            (feedback.LOG_LOSS, one.losses),
            (feedback.LABEL_LAG, one.lags),
        )
        for description, counted in histograms:
            if any(counted.counts):
                series = Series(labels, counted.sum, counted.counts, counted.bounds)
                self._family(description).series.append(series)
        for name, value in one.figures.items():
            self._add(feedback.LIVE_METRIC, (*labels, name), value)
        if one.coverage is not None:
            self._add(feedback.LIVE_COVERAGE, labels, one.coverage)

    def add_feedback(self, labels: Mapping[str, int]) -> None:
        """Read what became of the labels that callers sent, by status."""
        for status, count in labels.items():
            self._add(feedback.FEEDBACK_LABELS, (status,), count)

    def add_explaining(self, rows: int) -> None:
        """Read how many rows wait for an explanation."""
        self._add(explanations.EXPLAIN_QUEUE_ROWS, (), rows)

    def add_ledger(self, *, written: int, dropped: int) -> None:
        """Read what became of the ledger's entries."""
        for outcome, count in (("written", written), ("dropped", dropped)):
            self._add(process.LEDGER_ENTRIES, (outcome,), count)

    def add_families(self, families: Iterable[Family]) -> None:
        """Take series that were made before, each of which stays whose it is."""
        for family in families:
            self._family(family.description).series.extend(family.series)

    def families(self) -> list[Family]:
        """What was read."""
        return list(self._families.values())

    def _add(self, description: Description, labels: tuple[str, ...], value: float = 1) -> None:
        self._family(description).series.append(Series(labels, value))

    def _family(self, description: Description) -> Family:
        family = self._families.get(description.name)
        if family is None:
            family = self._families[description.name] = Family(description, [])
        return family
