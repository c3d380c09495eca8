"""Every metric of the server: name, type, labels, unit, meaning, and a query that uses it.

docs/metrics.md is made of this. `model_version` is always the version that really served, and nothing is labelled with
a name that a client made up. A version's series go when it goes.
"""

from typing import Final

from model_manager.metrics.catalogue import (
    drift,
    explanations,
    feedback,
    fetching,
    predictions,
    process,
    requests,
    versions,
)
from model_manager.metrics.instruments import Description

CATALOGUE: Final[dict[str, tuple[Description, ...]]] = {
    "Requests": (
        requests.REQUESTS,
        requests.UNROUTED_REQUESTS,
        requests.DROPPED_REQUESTS,
        requests.CLIENT_REQUESTS,
        requests.REQUESTS_IN_FLIGHT,
        requests.REQUEST_SECONDS,
        requests.DECODE_SECONDS,
        requests.QUEUE_SECONDS,
        requests.BATCH_SECONDS,
        requests.PREDICT_SECONDS,
        requests.ENCODE_SECONDS,
        requests.TIMEOUT_SECONDS,
    ),
    "Shadows": (requests.SHADOW_REQUESTS, requests.SHADOW_DROPPED, requests.SHADOW_SECONDS),
    "Rows and batches": (requests.ROWS_PREDICTED, requests.BATCH_ROWS, requests.QUEUE_ROWS, requests.QUEUE_LIMIT_ROWS),
    "Predictions": (predictions.PREDICTIONS, predictions.PREDICTION_VALUE),
    "Drift": drift.DRIFT,
    "Live accuracy": (*feedback.ACCURACY, feedback.FEEDBACK_LABELS),
    "Explanations": (explanations.EXPLANATIONS, explanations.EXPLAIN_SECONDS, explanations.EXPLAIN_QUEUE_ROWS),
    "Versions": (
        versions.VERSION_STATE,
        versions.VERSION_QUARANTINED,
        versions.VERSION_INFO,
        versions.DEFAULT_VERSION,
        versions.TRAFFIC_WEIGHT,
        versions.VERSION_LOAD_SECONDS,
        versions.GOLDEN_ROWS,
        versions.LOAD_FAILURES,
        versions.PREDICTOR_FORM,
        versions.PREDICTOR_SPEEDUP,
        versions.PREDICTOR_DIFFERENCE,
        versions.FORM_FAILURES,
        versions.GIVEN_UP,
        versions.PROCESS_ENDS,
    ),
    "Convergence": (
        versions.WANTED_GENERATION,
        versions.IN_FORCE_GENERATION,
        versions.CONVERGENCE_LAG,
        versions.LAST_CONVERGENCE,
        versions.SOURCE_FAILURES,
    ),
    "Remote artifacts": (
        fetching.FETCHED_BYTES,
        fetching.FETCH_SECONDS,
        fetching.FETCHED_FROM_CACHE,
        fetching.FETCH_FAILURES,
        fetching.CACHE_BYTES,
    ),
    "The process": (
        process.READY,
        process.BUILD_INFO,
        process.EVENT_LOOP_LAG,
        process.THREADS_GIVEN_UP,
        process.PROCESS_CHANGES,
        process.UNCLEAN_ENDS,
        process.UNANSWERED_QUESTIONS,
    ),
    "Telemetry itself": (
        process.SPANS_EXPORTED,
        process.SPANS_DROPPED,
        process.PREDICTION_RECORDS,
        process.LEDGER_ENTRIES,
    ),
}
"""The metrics in the order in which a reader meets them."""
