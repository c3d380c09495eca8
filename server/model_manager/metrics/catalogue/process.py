"""What is shown of a server process, and of what tells about its requests elsewhere."""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import SECONDS, counter
from model_manager.metrics.instruments import Description

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
THREADS_GIVEN_UP: Final = Description(
    "model_manager_threads_given_up",
    "gauge",
    "Threads of predictions that were given up and have not come back.",
    query="max(model_manager_threads_given_up) > 0",
)
PROCESS_CHANGES: Final = counter(
    "process_changes",
    "Changes to the server process that model code made and that were undone, by what was changed.",
    ("what",),
    "sum by (what) (increase(model_manager_process_changes_total[1h])) > 0",
)

UNCLEAN_ENDS: Final = counter(
    "unclean_ends",
    "Server processes that ended without being asked to, by signal or exit code; unknown: of a process on its own, "
    "found out by the next one. Kept in the state folder, so it goes on over restarts.",
    ("how",),
    "sum by (pod, how) (increase(model_manager_unclean_ends_total[10m]))",
)

UNANSWERED_QUESTIONS: Final = counter(
    "unanswered_questions",
    "Questions of the admin port that a worker did not answer in time, by what they were about; its share of a scrape "
    "or of the index is missing then.",
    ("about",),
    "sum by (pod, about) (increase(model_manager_unanswered_questions_total[10m]))",
)

SPANS_EXPORTED: Final = counter(
    "spans_exported", "Trace spans sent to the collector.", (), "sum(rate(model_manager_spans_exported_total[5m]))"
)
SPANS_DROPPED: Final = counter(
    "spans_dropped",
    "Trace spans that were not sent: the queue was full, or the collector did not take them.",
    ("reason",),
    "sum by (reason) (rate(model_manager_spans_dropped_total[5m]))",
)
PREDICTION_RECORDS: Final = counter(
    "prediction_records",
    "Prediction records by what became of them: sent, sampled_out or dropped.",
    ("outcome",),
    "sum by (outcome) (rate(model_manager_prediction_records_total[5m]))",
)
LEDGER_ENTRIES: Final = counter(
    "ledger_entries",
    "Entries of the ledger by what became of them: written, or dropped because the disk did not take them.",
    ("outcome",),
    'sum by (pod) (increase(model_manager_ledger_entries_total{outcome="dropped"}[10m])) > 0',
)
