"""Every metric of the server: name, type, labels, unit, meaning, and a query that uses it.

docs/metrics.md is made of this. `model_version` is always the version that really served, and nothing is labelled with
a name that a client made up. A version's series go when it goes.
"""

from typing import Final

from model_manager.metrics.instruments import Description

VERSION: Final = ("model_name", "model_version")

SECONDS: Final = tuple(2.0**power for power in range(-15, 4))
"""Powers of two from 30 µs to 8 s: each is a bucket bound of native histograms too, at every resolution, so that a
scraper which turns these buckets into native ones loses nothing."""
ROWS: Final = tuple(2.0**power for power in range(13))
LABELS_SHOWN: Final = 50
"""Predicted labels of a version with a series of their own; the others share one."""


def _counter(name: str, meaning: str, labels: tuple[str, ...], query: str) -> Description:
    return Description(f"model_manager_{name}", "counter", meaning, labels, query=query)


def _seconds(name: str, meaning: str, query: str) -> Description:
    name = f"model_manager_{name}_duration_seconds"
    return Description(name, "histogram", meaning, VERSION, "seconds", SECONDS, query=query)


# requests

REQUESTS: Final = _counter(
    "requests",
    "Prediction requests answered, by the version that served and HTTP status code (499: the client left).",
    (*VERSION, "code"),
    "sum by (model_name, model_version, code) (rate(model_manager_requests_total[5m]))",
)
UNROUTED_REQUESTS: Final = _counter(
    "unrouted_requests",
    "Prediction requests that reached no version (unknown or not ready), by HTTP status code.",
    ("code",),
    "sum by (code) (rate(model_manager_unrouted_requests_total[5m]))",
)
DROPPED_REQUESTS: Final = _counter(
    "dropped_requests",
    "Requests that got no prediction although they were right. Shed: queue_full, unloaded. Out of time: "
    "expired_in_queue, expired_in_batch. Given up by the client: cancelled_in_queue, cancelled_in_batch.",
    (*VERSION, "reason"),
    "sum by (model_name, reason) (rate(model_manager_dropped_requests_total[5m]))",
)
REQUESTS_IN_FLIGHT: Final = Description(
    "model_manager_requests_in_flight",
    "gauge",
    "Requests that hold a lease of the version now.",
    VERSION,
    query="sum by (model_name, model_version) (model_manager_requests_in_flight)",
)
REQUEST_SECONDS: Final = _seconds(
    "request",
    "Time from the first byte read to the answer handed to the socket.",
    "histogram_quantile(0.99, sum by (model_name, le) (rate(model_manager_request_duration_seconds_bucket[5m])))",
)
DECODE_SECONDS: Final = _seconds(
    "decode",
    "Time to turn a body into checked arrays.",
    "sum by (model_name) (rate(model_manager_decode_duration_seconds_sum[5m]))"
    " / sum by (model_name) (rate(model_manager_decode_duration_seconds_count[5m]))",
)
QUEUE_SECONDS: Final = _seconds(
    "queue",
    "Time a request waited for its batch to start.",
    "histogram_quantile(0.99, sum by (model_name, le) (rate(model_manager_queue_duration_seconds_bucket[5m])))",
)
BATCH_SECONDS: Final = _seconds(
    "batch",
    "Time from a batch leaving the queue to its answers handed out: predict, and the way to a thread and back.",
    "histogram_quantile(0.5, sum by (model_name, le) (rate(model_manager_batch_duration_seconds_bucket[5m])))",
)
PREDICT_SECONDS: Final = _seconds(
    "predict",
    "Time the predictor took for one batch (compute).",
    "sum by (model_name, model_version) (rate(model_manager_predict_duration_seconds_sum[5m]))",
)
ENCODE_SECONDS: Final = _seconds(
    "encode",
    "Time to turn arrays into an answer's body.",
    "sum by (model_name) (rate(model_manager_encode_duration_seconds_sum[5m]))"
    " / sum by (model_name) (rate(model_manager_encode_duration_seconds_count[5m]))",
)

# rows and batches

ROWS_PREDICTED: Final = _counter(
    "rows", "Rows predicted.", VERSION, "sum by (model_name, model_version) (rate(model_manager_rows_total[5m]))"
)
BATCH_ROWS: Final = Description(
    "model_manager_batch_rows",
    "histogram",
    "Rows in one batch; its count is the number of batches.",
    VERSION,
    bounds=ROWS,
    query="sum by (model_name) (rate(model_manager_batch_rows_sum[5m]))"
    " / sum by (model_name) (rate(model_manager_batch_rows_count[5m]))",
)
QUEUE_ROWS: Final = Description(
    "model_manager_queue_rows",
    "gauge",
    "Rows waiting for a batch.",
    VERSION,
    query="sum by (model_name, model_version) (model_manager_queue_rows)",
)
QUEUE_LIMIT_ROWS: Final = Description(
    "model_manager_queue_limit_rows",
    "gauge",
    "Rows that may wait before requests are refused (max_queue_rows of the manifest).",
    VERSION,
    query="model_manager_queue_rows / model_manager_queue_limit_rows > 0.8",
)
TIMEOUT_SECONDS: Final = Description(
    "model_manager_timeout_seconds",
    "gauge",
    "Time allowed for a request (timeout_ms of the manifest, or the setting).",
    VERSION,
    "seconds",
    across="max",
    query="max by (model_name, model_version) (model_manager_timeout_seconds)",
)

# predictions

PREDICTIONS: Final = _counter(
    "predictions",
    f"Labels predicted, one a row, where the output `predict` was asked for: the first {LABELS_SHOWN} classes of a "
    "classifier by name, the rest as `other`.",
    (*VERSION, "label"),
    "sum by (model_version, label) (rate(model_manager_predictions_total[5m]))"
    " / ignoring (label) group_left sum by (model_version) (rate(model_manager_predictions_total[5m]))",
)
PREDICTION_VALUE: Final = Description(
    "model_manager_prediction_value",
    "histogram",
    "Numbers predicted, one a row, where the output `predict` was asked for. Buckets are the deciles of the "
    "predictions on the training data where the package has a baseline, so they differ between versions.",
    VERSION,
    query="sum by (model_version) (rate(model_manager_prediction_value_sum[5m]))"
    " / sum by (model_version) (rate(model_manager_prediction_value_count[5m]))",
)

# versions

VERSION_STATE: Final = Description(
    "model_manager_version_state",
    "gauge",
    "1 for the state each known version is in: wanted, fetching, loading, proving, ready, draining or failed.",
    (*VERSION, "state"),
    across="max",
    query='max by (model_name, model_version) (model_manager_version_state{state="failed"}) == 1',
)
VERSION_INFO: Final = Description(
    "model_manager_version_info",
    "gauge",
    "1 for every version that is ready, with its artifact's digest and library versions.",
    (*VERSION, "sha256", "sklearn_version", "numpy_version"),
    across="max",
    query="count by (model_name, model_version, sha256) (model_manager_version_info)",
)
DEFAULT_VERSION: Final = Description(
    "model_manager_default_version",
    "gauge",
    "1 for the version that answers when a request names none.",
    VERSION,
    across="max",
    query="count by (model_name, model_version) (model_manager_default_version)",
)
VERSION_LOAD_SECONDS: Final = Description(
    "model_manager_version_load_seconds",
    "gauge",
    "Time each phase of a ready version's load took: fetch, load, prove, and compile once it is done.",
    (*VERSION, "phase"),
    "seconds",
    across="max",
    query="max by (model_name, model_version, phase) (model_manager_version_load_seconds)",
)
GOLDEN_ROWS: Final = Description(
    "model_manager_golden_rows",
    "gauge",
    "Golden rows a version was proven on before it served; 0 where its package holds none.",
    VERSION,
    across="max",
    query="max by (model_name, model_version) (model_manager_golden_rows) == 0",
)
LOAD_FAILURES: Final = _counter(
    "load_failures",
    "Failed loads, by reason.",
    (*VERSION, "reason"),
    "sum by (model_name, model_version, reason) (increase(model_manager_load_failures_total[1h]))",
)
PREDICTOR_FORM: Final = Description(
    "model_manager_predictor_form",
    "gauge",
    "1 for the form that answers.",
    (*VERSION, "form"),
    across="max",
    query="count by (form) (model_manager_predictor_form)",
)
PREDICTOR_SPEEDUP: Final = Description(
    "model_manager_predictor_speedup_ratio",
    "gauge",
    "How many times faster than scikit-learn the form was measured to be, by batch size.",
    (*VERSION, "rows"),
    "ratio",
    across="min",
    query="min by (model_name, rows) (model_manager_predictor_speedup_ratio)",
)
PREDICTOR_DIFFERENCE: Final = Description(
    "model_manager_predictor_largest_difference",
    "gauge",
    "Largest difference to scikit-learn's answers seen while the form was proven.",
    VERSION,
    across="max",
    query="max by (model_name, model_version) (model_manager_predictor_largest_difference)",
)
FORM_FAILURES: Final = _counter(
    "form_failures",
    "Batches on which a compiled form failed, so that another one or scikit-learn answered. After ten of them it is "
    "not asked any more until the version is loaded again.",
    (*VERSION, "form"),
    "sum by (model_name, model_version, form) (increase(model_manager_form_failures_total[1h])) > 0",
)

# convergence

WANTED_GENERATION: Final = Description(
    "model_manager_wanted_generation",
    "gauge",
    "How many different wanted states this process has read.",
    across="min",
    query="model_manager_wanted_generation - model_manager_in_force_generation",
)
IN_FORCE_GENERATION: Final = Description(
    "model_manager_in_force_generation",
    "gauge",
    "The newest wanted state that was reached: exactly what it wants was ready, and nothing else was left.",
    across="min",
    query="model_manager_wanted_generation != model_manager_in_force_generation",
)
CONVERGENCE_LAG: Final = Description(
    "model_manager_convergence_lag_seconds",
    "gauge",
    "0 while what is wanted is in force; else the time since it no longer was.",
    unit="seconds",
    across="max",
    query="max(model_manager_convergence_lag_seconds) > 120",
)
LAST_CONVERGENCE: Final = Description(
    "model_manager_last_convergence_timestamp_seconds",
    "gauge",
    "When the wanted state was last in force, in Unix time.",
    unit="seconds",
    across="min",
    query="time() - min(model_manager_last_convergence_timestamp_seconds)",
)
SOURCE_FAILURES: Final = _counter(
    "source_failures",
    "Reads of the models folder that failed (what serves stays), by reason.",
    ("reason",),
    "sum by (reason) (increase(model_manager_source_failures_total[10m]))",
)

# the process

READY: Final = Description(
    "model_manager_ready",
    "gauge",
    "1 when this process should get traffic, as its readiness probe says.",
    across="min",
    query="sum(model_manager_ready)",
)
BUILD_INFO: Final = Description(
    "model_manager_build_info",
    "gauge",
    "1, with the server's version.",
    ("version",),
    across="max",
    query="count by (version) (model_manager_build_info)",
)
EVENT_LOOP_LAG: Final = Description(
    "model_manager_event_loop_lag_seconds",
    "histogram",
    "How late the event loop runs what is due, looked at ten times a second.",
    unit="seconds",
    bounds=SECONDS,
    query="histogram_quantile(0.99, sum by (le) (rate(model_manager_event_loop_lag_seconds_bucket[5m])))",
)

# telemetry itself

SPANS_EXPORTED: Final = _counter(
    "spans_exported", "Trace spans sent to the collector.", (), "sum(rate(model_manager_spans_exported_total[5m]))"
)
SPANS_DROPPED: Final = _counter(
    "spans_dropped",
    "Trace spans that were not sent: the queue was full, or the collector did not take them.",
    ("reason",),
    "sum by (reason) (rate(model_manager_spans_dropped_total[5m]))",
)
PREDICTION_RECORDS: Final = _counter(
    "prediction_records",
    "Prediction records by what became of them: sent, sampled_out or dropped.",
    ("outcome",),
    "sum by (outcome) (rate(model_manager_prediction_records_total[5m]))",
)

CATALOGUE: Final[dict[str, tuple[Description, ...]]] = {
    "Requests": (
        REQUESTS,
        UNROUTED_REQUESTS,
        DROPPED_REQUESTS,
        REQUESTS_IN_FLIGHT,
        REQUEST_SECONDS,
        DECODE_SECONDS,
        QUEUE_SECONDS,
        BATCH_SECONDS,
        PREDICT_SECONDS,
        ENCODE_SECONDS,
        TIMEOUT_SECONDS,
    ),
    "Rows and batches": (ROWS_PREDICTED, BATCH_ROWS, QUEUE_ROWS, QUEUE_LIMIT_ROWS),
    "Predictions": (PREDICTIONS, PREDICTION_VALUE),
    "Versions": (
        VERSION_STATE,
        VERSION_INFO,
        DEFAULT_VERSION,
        VERSION_LOAD_SECONDS,
        GOLDEN_ROWS,
        LOAD_FAILURES,
        PREDICTOR_FORM,
        PREDICTOR_SPEEDUP,
        PREDICTOR_DIFFERENCE,
        FORM_FAILURES,
    ),
    "Convergence": (
        WANTED_GENERATION,
        IN_FORCE_GENERATION,
        CONVERGENCE_LAG,
        LAST_CONVERGENCE,
        SOURCE_FAILURES,
    ),
    "The process": (READY, BUILD_INFO, EVENT_LOOP_LAG),
    "Telemetry itself": (SPANS_EXPORTED, SPANS_DROPPED, PREDICTION_RECORDS),
}
"""The metrics in the order in which a reader meets them."""
