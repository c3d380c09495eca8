"""What is counted and timed of explanations, which count as no requests of the version."""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import VERSION, counter, duration
from model_manager.metrics.instruments import Description

EXPLANATIONS: Final = counter(
    "explanations",
    "Requests for explanations, by outcome: explained, refused (the caller's mistake, or a model that is not "
    "explained), queue_full, expired, mismatch (it does not add up to the answer), failed.",
    (*VERSION, "outcome"),
    'sum by (model_name, model_version) (rate(model_manager_explanations_total{outcome="mismatch"}[10m])) > 0',
)
EXPLAIN_SECONDS: Final = duration(
    "explain",
    "Time of a request for an explanation that was answered, from its body to its answer.",
    "histogram_quantile(0.99, sum by (model_name, le) (rate(model_manager_explain_duration_seconds_bucket[5m])))",
)
EXPLAIN_QUEUE_ROWS: Final = Description(
    "model_manager_explain_queue_rows",
    "gauge",
    "Rows that wait for an explanation or are being explained, of all versions.",
    query="sum(model_manager_explain_queue_rows)",
)
