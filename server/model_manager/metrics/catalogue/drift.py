"""What is shown of drift: how far what is asked and answered lies from the training data.

These are made of counts that add up over the processes of a pod, and do not add up themselves. Over pods, the mean by
rows of window is never below the divergence of all their rows together (both divergences are convex in the window).
"""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import VERSION
from model_manager.metrics.instruments import Description

_COLUMN: Final = (*VERSION, "kind", "column")
_BY_ROWS: Final = (
    "sum by (model_name, model_version, kind, column) ({name} * on (pod, model_name, model_version) group_left"
    " model_manager_drift_window_rows) / sum by (model_name, model_version, kind, column) (({name} >= bool 0)"
    " * on (pod, model_name, model_version) group_left model_manager_drift_window_rows)"
)

DRIFT_PSI: Final = Description(
    "model_manager_drift_psi",
    "gauge",
    "Population stability index of the window against the baseline, for the features and the outputs of a version that "
    "have drifted most (five of each kind); 0 is no difference, and from 0.2 on it is a major one.",
    _COLUMN,
    query=_BY_ROWS.format(name="model_manager_drift_psi"),
)
DRIFT_JS: Final = Description(
    "model_manager_drift_js_distance",
    "gauge",
    "Jensen–Shannon distance of the window to the baseline, from 0 to 1, of the same columns.",
    _COLUMN,
    query="max by (model_name, model_version, column) (model_manager_drift_js_distance)",
)
DRIFT_NOISE: Final = Description(
    "model_manager_drift_psi_noise",
    "gauge",
    "The PSI that rows as few as those of window and baseline may show by chance, of the same columns. A PSI below it "
    "says nothing.",
    _COLUMN,
    query="model_manager_drift_psi > 0.2 and model_manager_drift_psi > model_manager_drift_psi_noise",
)
DRIFT_ROWS: Final = Description(
    "model_manager_drift_window_rows",
    "gauge",
    "Sampled rows of the last hour that drift is measured on, by where the baseline comes from: the package, or the "
    "first rows that were answered (learned; learning while they gather).",
    (*VERSION, "baseline"),
    query="sum by (model_name, model_version, baseline) (model_manager_drift_window_rows)",
)
DRIFTED_COLUMNS: Final = Description(
    "model_manager_drifted_columns",
    "gauge",
    "Features and outputs, of all that are counted, whose PSI is above 0.2 and above what chance may show.",
    VERSION,
    query="max by (model_name, model_version) (model_manager_drifted_columns) > 0",
)

DRIFT: Final = (DRIFT_PSI, DRIFT_JS, DRIFT_NOISE, DRIFT_ROWS, DRIFTED_COLUMNS)
