"""Values that already exist in the running system, read at scrape time instead of being mirrored into gauges."""

from collections.abc import Mapping
from dataclasses import dataclass

from model_manager.metrics import catalogue
from model_manager.metrics.instruments import Description, Family, Series, gauge


@dataclass(frozen=True, slots=True)
class LiveServable:
    """What a scrape shows of a version that serves.

    `info`: digest and library versions. `load_seconds`: by phase. `speedup`: by rows. `form_failures`: by form.
    """

    default: bool
    in_flight: int
    queue_rows: int
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
class LiveVersion:
    """What a scrape shows of one version; `serving` only once it is ready."""

    model: str
    version: str
    state: str
    serving: LiveServable | None = None


@dataclass(frozen=True, slots=True)
class Convergence:
    """How far what is served is from what is wanted. `generation`s count wanted states; times in seconds."""

    wanted_generation: int = 0
    in_force_generation: int = 0
    lag_s: float = 0.0
    last_timestamp: float = 0.0


class LiveFamilies:
    """Gathers one family for each live value, with a sample for every version that has it."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def add(self, one: LiveVersion) -> None:
        """Read one version."""
        labels = (one.model, one.version)
        self._add(catalogue.VERSION_STATE, (*labels, one.state))
        serving = one.serving
        if serving is None:
            return
        if serving.default:
            self._add(catalogue.DEFAULT_VERSION, labels)
        self._add(catalogue.REQUESTS_IN_FLIGHT, labels, serving.in_flight)
        self._add(catalogue.QUEUE_ROWS, labels, serving.queue_rows)
        self._add(catalogue.QUEUE_LIMIT_ROWS, labels, serving.queue_limit_rows)
        self._add(catalogue.TIMEOUT_SECONDS, labels, serving.timeout_s)
        self._add(catalogue.VERSION_INFO, (*labels, *serving.info))
        self._add(catalogue.GOLDEN_ROWS, labels, serving.golden_rows)
        for phase, seconds in serving.load_seconds.items():
            self._add(catalogue.VERSION_LOAD_SECONDS, (*labels, phase), seconds)
        self._add(catalogue.PREDICTOR_FORM, (*labels, serving.form))
        for rows, gain in serving.speedup.items():
            self._add(catalogue.PREDICTOR_SPEEDUP, (*labels, str(rows)), gain)
        self._add(catalogue.PREDICTOR_DIFFERENCE, labels, serving.largest_difference)
        for form, times in serving.form_failures.items():
            self._add(catalogue.FORM_FAILURES, (*labels, form), times)

    def families(self) -> list[Family]:
        """What was read."""
        return list(self._families.values())

    def _add(self, description: Description, labels: tuple[str, ...], value: float = 1) -> None:
        family = self._families.get(description.name)
        if family is None:
            family = self._families[description.name] = Family(description, [])
        family.series.append(Series(labels, value))


def convergence_families(convergence: Convergence) -> list[Family]:
    """What is wanted against what is in force."""
    values = (
        (catalogue.WANTED_GENERATION, convergence.wanted_generation),
        (catalogue.IN_FORCE_GENERATION, convergence.in_force_generation),
        (catalogue.CONVERGENCE_LAG, convergence.lag_s),
        (catalogue.LAST_CONVERGENCE, convergence.last_timestamp),
    )
    return [gauge(description, [((), value)]) for description, value in values]


def counted(description: Description, values: Mapping[str, int]) -> Family:
    """A counter with one label whose values are counted elsewhere."""
    return Family(description, [Series((label,), value) for label, value in values.items()])
