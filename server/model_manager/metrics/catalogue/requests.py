"""What is counted and timed of requests, and of the batches that they ride in."""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import VERSION, counter, duration
from model_manager.metrics.instruments import Description

ROWS: Final = tuple(2.0**power for power in range(13))

REQUESTS: Final = counter(
    "requests",
    "Prediction requests answered, by the version that served and HTTP status code (499: the client left).",
    (*VERSION, "code"),
    "sum by (model_name, model_version, code) (rate(model_manager_requests_total[5m]))",
)
UNROUTED_REQUESTS: Final = counter(
    "unrouted_requests",
    "Prediction requests that reached no version (unknown or not ready), and what a connection refused (malformed, "
    "over a limit), by HTTP status code.",
    ("code",),
    "sum by (code) (rate(model_manager_unrouted_requests_total[5m]))",
)
DROPPED_REQUESTS: Final = counter(
    "dropped_requests",
    "Requests that got no prediction although they were right. Shed: queue_full, unloaded. Out of time: "
    "expired_in_queue, expired_in_batch. Given up by the client: cancelled_in_queue, cancelled_in_batch.",
    (*VERSION, "reason"),
    "sum by (model_name, reason) (rate(model_manager_dropped_requests_total[5m]))",
)
CLIENT_REQUESTS: Final = counter(
    "client_requests",
    "Requests by the id of their API key and what it let them do: admitted, forbidden (not for that model), "
    "rate_limited; unauthenticated, with no id, where no known key was sent. Only where keys are configured.",
    ("client", "outcome"),
    "sum by (client, outcome) (rate(model_manager_client_requests_total[5m]))",
)
REQUESTS_IN_FLIGHT: Final = Description(
    "model_manager_requests_in_flight",
    "gauge",
    "Requests that hold a lease of the version now.",
    VERSION,
    query="sum by (model_name, model_version) (model_manager_requests_in_flight)",
)
REQUEST_SECONDS: Final = duration(
    "request",
    "Time from the first byte read to the answer handed to the socket.",
    "histogram_quantile(0.99, sum by (model_name, le) (rate(model_manager_request_duration_seconds_bucket[5m])))",
)
DECODE_SECONDS: Final = duration(
    "decode",
    "Time to turn a body into checked arrays.",
    "sum by (model_name) (rate(model_manager_decode_duration_seconds_sum[5m]))"
    " / sum by (model_name) (rate(model_manager_decode_duration_seconds_count[5m]))",
)
QUEUE_SECONDS: Final = duration(
    "queue",
    "Time a request waited for its batch to start.",
    "histogram_quantile(0.99, sum by (model_name, le) (rate(model_manager_queue_duration_seconds_bucket[5m])))",
)
BATCH_SECONDS: Final = duration(
    "batch",
    "Time from a batch leaving the queue to its answers handed out: predict, and the way to a thread and back.",
    "histogram_quantile(0.5, sum by (model_name, le) (rate(model_manager_batch_duration_seconds_bucket[5m])))",
)
PREDICT_SECONDS: Final = duration(
    "predict",
    "Time the predictor took for one batch (compute).",
    "sum by (model_name, model_version) (rate(model_manager_predict_duration_seconds_sum[5m]))",
)
ENCODE_SECONDS: Final = duration(
    "encode",
    "Time to turn arrays into an answer's body.",
    "sum by (model_name) (rate(model_manager_encode_duration_seconds_sum[5m]))"
    " / sum by (model_name) (rate(model_manager_encode_duration_seconds_count[5m]))",
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

SHADOW_REQUESTS: Final = counter(
    "shadow_requests",
    "Copies of requests that a version got as a shadow, by the HTTP status code that it would have answered with. They "
    "are in no other metric of requests, rows and predictions.",
    (*VERSION, "code"),
    "sum by (model_name, model_version, code) (rate(model_manager_shadow_requests_total[5m]))",
)
SHADOW_DROPPED: Final = counter(
    "shadow_dropped",
    "Copies that were not sent to a shadow, by reason: server_busy and shadow_busy (requests go first, and few copies "
    "may wait), too_large.",
    (*VERSION, "reason"),
    "sum by (model_name, model_version, reason) (rate(model_manager_shadow_dropped_total[5m]))",
)
SHADOW_SECONDS: Final = duration(
    "shadow",
    "Time a shadow took for a copy: decoding, waiting for its batch, and predicting.",
    "histogram_quantile(0.99, sum by (model_name, le) (rate(model_manager_shadow_duration_seconds_bucket[5m])))",
)

ROWS_PREDICTED: Final = counter(
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
