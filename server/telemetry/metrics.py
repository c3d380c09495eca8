"""Every Prometheus metric: names, labels, buckets and help in one place, on a registry that is passed in.

`model_version` is always the version that really served. Nothing is labelled with a name that a client made up.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.telemetry.histogram import LoopHistogram

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter and histogram, which nothing reads

_SERVABLE = ("model_name", "model_version")
SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
LOAD_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)


class Metrics:
    """All metrics of one server process, registered on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "model_manager_requests",
            "Prediction requests answered, by the version that served and HTTP status code.",
            (*_SERVABLE, "code"),
            registry=registry,
        )
        self.unrouted_requests = Counter(
            "model_manager_unrouted_requests",
            "Prediction requests that reached no version (unknown or not ready), by HTTP status code.",
            ("code",),
            registry=registry,
        )
        self.request_seconds = LoopHistogram(
            "model_manager_request_duration_seconds",
            "Time from the first byte read to the answer handed to the socket.",
            _SERVABLE,
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_seconds = LoopHistogram(
            "model_manager_queue_wait_seconds",
            "Time a request waited for its batch to start.",
            _SERVABLE,
            buckets=SECONDS,
            registry=registry,
        )
        self.predict_seconds = LoopHistogram(
            "model_manager_predict_duration_seconds",
            "Time the predictor took for one batch.",
            _SERVABLE,
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_rows = LoopHistogram(
            "model_manager_batch_rows", "Rows in one batch.", _SERVABLE, buckets=ROWS, registry=registry
        )
        self.rows = Counter("model_manager_rows", "Rows predicted.", _SERVABLE, registry=registry)
        self.load_seconds = Histogram(
            "model_manager_load_duration_seconds",
            "Time from the first byte fetched to ready, for versions that became ready.",
            _SERVABLE,
            buckets=LOAD_SECONDS,
            registry=registry,
        )
        self.load_failures = Counter(
            "model_manager_load_failures", "Failed loads, by reason.", (*_SERVABLE, "reason"), registry=registry
        )
        self.source_failures = Counter(
            "model_manager_source_failures",
            "Reads of the models folder that failed (what serves stays), by reason.",
            ("reason",),
            registry=registry,
        )
        self.last_convergence = Gauge(
            "model_manager_last_convergence_timestamp_seconds",
            "When the server last reached its wanted state, in Unix time.",
            registry=registry,
        )

    def forget(self, model: str, version: str) -> None:
        """Remove every series of a version that is gone."""
        labels = {"model_name": model, "model_version": version}
        for counter in (self.requests, self.rows, self.load_seconds, self.load_failures):
            counter.remove_by_labels(labels)
        for histogram in (self.request_seconds, self.queue_seconds, self.predict_seconds, self.batch_rows):
            histogram.remove(model, version)


class ServableMetrics:
    """The metrics of one version with their labels bound once, so that the request path looks nothing up."""

    def __init__(self, metrics: Metrics, model: str, version: str) -> None:
        self._requests = metrics.requests
        self._labels = (model, version)
        self._by_code: dict[int, Counter] = {}
        self.request_seconds = metrics.request_seconds.labels(model, version)
        self.queue_seconds = metrics.queue_seconds.labels(model, version)
        self.predict_seconds = metrics.predict_seconds.labels(model, version)
        self.batch_rows = metrics.batch_rows.labels(model, version)
        self.rows = metrics.rows.labels(model, version)

    def requests(self, code: int) -> Counter:
        """The request counter of one status code."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._requests.labels(*self._labels, str(code))
        return counter


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """What a scrape shows of one version; `serving` only once it is ready."""

    model: str
    version: str
    state: str
    serving: "LiveServable | None" = None


@dataclass(frozen=True, slots=True)
class LiveServable:
    """What a scrape shows of a version that serves. `info`: digest and library versions; `speedup`: by rows."""

    queue_rows: int
    info: tuple[str, str, str]
    form: str
    speedup: Mapping[int, float]
    largest_difference: float


class LiveCollector(Collector):
    """Values that already exist in the running system, read at scrape time instead of being mirrored into gauges."""

    def __init__(self, versions: Callable[[], Iterable[LiveVersion]]) -> None:
        self._versions = versions

    def collect(self) -> Iterable[Metric]:
        """Yield one family for each live value, with a sample for every known version."""
        queue = GaugeMetricFamily("model_manager_queue_rows", "Rows waiting for a batch.", labels=_SERVABLE)
        states = GaugeMetricFamily(
            "model_manager_version_state", "1 for the state each known version is in.", labels=(*_SERVABLE, "state")
        )
        info = GaugeMetricFamily(
            "model_manager_version_info",
            "1 for every version that is ready, with its artifact's digest and library versions.",
            labels=(*_SERVABLE, "sha256", "sklearn_version", "numpy_version"),
        )
        form = GaugeMetricFamily(
            "model_manager_predictor_form", "1 for the form that answers.", labels=(*_SERVABLE, "form")
        )
        speedup = GaugeMetricFamily(
            "model_manager_predictor_speedup_ratio",
            "How many times faster than scikit-learn the form was measured to be, by batch size.",
            labels=(*_SERVABLE, "rows"),
        )
        difference = GaugeMetricFamily(
            "model_manager_predictor_largest_difference",
            "Largest difference to scikit-learn's answers seen while the form was proven.",
            labels=_SERVABLE,
        )
        for row in self._versions():
            labels = (row.model, row.version)
            states.add_metric((*labels, row.state), 1)
            serving = row.serving
            if serving is None:
                continue
            queue.add_metric(labels, serving.queue_rows)
            info.add_metric((*labels, *serving.info), 1)
            form.add_metric((*labels, serving.form), 1)
            for rows, gain in serving.speedup.items():
                speedup.add_metric((*labels, str(rows)), gain)
            difference.add_metric(labels, serving.largest_difference)
        yield from (queue, states, info, form, speedup, difference)
