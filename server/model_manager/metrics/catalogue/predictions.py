"""What is counted of predictions: what a canary is compared by, and drift seen in."""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import VERSION, counter
from model_manager.metrics.instruments import Description

LABELS_SHOWN: Final = 50
"""Predicted labels of a version with a series of their own; the others share one."""

PREDICTIONS: Final = counter(
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
    "predictions on the training data where the package has a baseline, so they differ between versions; an artifact "
    "that takes a version's place begins anew by its own.",
    VERSION,
    query="sum by (model_version) (rate(model_manager_prediction_value_sum[5m]))"
    " / sum by (model_version) (rate(model_manager_prediction_value_count[5m]))",
)
