"""What is shown of versions, and of how far what is served is from what is wanted."""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import VERSION, counter
from model_manager.metrics.instruments import Description

VERSION_STATE: Final = Description(
    "model_manager_version_state",
    "gauge",
    "1 for the state each known version is in: wanted, fetching, loading, proving, ready, draining or failed.",
    (*VERSION, "state"),
    across="max",
    query='max by (model_name, model_version) (model_manager_version_state{state="failed"}) == 1',
)
VERSION_QUARANTINED: Final = Description(
    "model_manager_version_quarantined",
    "gauge",
    "1 for each version that is not loaded because its code ended the server too often.",
    VERSION,
    across="max",
    query="max by (model_name, model_version) (model_manager_version_quarantined) == 1",
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
TRAFFIC_WEIGHT: Final = Description(
    "model_manager_traffic_weight_ratio",
    "gauge",
    "Share of the requests that name no version which the manifest gives the version (traffic), 0 to 1. While the "
    "version is not ready, the default answers them.",
    VERSION,
    "ratio",
    across="max",
    query="max by (model_name, model_version) (model_manager_traffic_weight_ratio)",
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
LOAD_FAILURES: Final = counter(
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
FORM_FAILURES: Final = counter(
    "form_failures",
    "Batches on which a compiled form failed, so that another one or scikit-learn answered. After ten of them it is "
    "not asked any more until the version is loaded again.",
    (*VERSION, "form"),
    "sum by (model_name, model_version, form) (increase(model_manager_form_failures_total[1h])) > 0",
)
GIVEN_UP: Final = counter(
    "predictions_given_up",
    "Predictions that did not return long after their requests had expired, or held the event loop, and were given up. "
    "After three within ten minutes the version fails.",
    VERSION,
    "sum by (model_name, model_version) (increase(model_manager_predictions_given_up_total[1h])) > 0",
)
PROCESS_ENDS: Final = counter(
    "isolated_process_ends",
    "Ends, unasked, of the process in which a version with `isolation: process` predicts; another takes its place. "
    "After three batches within ten minutes that cost it the version fails.",
    VERSION,
    "sum by (model_name, model_version) (increase(model_manager_isolated_process_ends_total[1h])) > 0",
)

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
SOURCE_FAILURES: Final = counter(
    "source_failures",
    "Reads of the models folder that failed (what serves stays), by reason.",
    ("reason",),
    "sum by (reason) (increase(model_manager_source_failures_total[10m]))",
)
