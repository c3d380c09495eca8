"""What is told of live accuracy: answers whose time for a label is over, and those of them with a label.

Every answer counts once, when its time is over: whatever two windows or versions are compared, all their answers had as
long for a label to come. The counters add up over processes and pods; the gauges are made of counts that do.
"""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import VERSION
from model_manager.metrics.instruments import Description

_BY_VERSION: Final = "sum by (model_name, model_version)"

MATURE_PREDICTIONS: Final = Description(
    "model_manager_mature_predictions",
    "counter",
    "Answered rows whose time for a label is over, of those that were kept for one.",
    VERSION,
    query=f"{_BY_VERSION} (rate(model_manager_labelled_predictions_total[1h])) / {_BY_VERSION} "
    "(rate(model_manager_mature_predictions_total[1h]))",
)
LABELLED_PREDICTIONS: Final = Description(
    "model_manager_labelled_predictions",
    "counter",
    "Those of them with a label, by outcome: right or wrong, or number where a number was answered. Counted when their "
    "time is over, whenever the label came.",
    (*VERSION, "outcome"),
    query=f'{_BY_VERSION} (rate(model_manager_labelled_predictions_total{{outcome="right"}}[1h])) / {_BY_VERSION} '
    "(rate(model_manager_labelled_predictions_total[1h]))",
)
ABSOLUTE_ERROR: Final = Description(
    "model_manager_prediction_absolute_error",
    "histogram",
    "How far answered numbers were from their labels.",
    VERSION,
    query=f"{_BY_VERSION} (rate(model_manager_prediction_absolute_error_sum[1h])) / {_BY_VERSION} "
    "(rate(model_manager_prediction_absolute_error_count[1h]))",
)
LOG_LOSS: Final = Description(
    "model_manager_prediction_log_loss",
    "histogram",
    "Log-loss of the labelled rows for which predict_proba was asked, in nats.",
    VERSION,
    query=f"{_BY_VERSION} (rate(model_manager_prediction_log_loss_sum[1h])) / {_BY_VERSION} "
    "(rate(model_manager_prediction_log_loss_count[1h]))",
)
LABEL_LAG: Final = Description(
    "model_manager_label_lag_seconds",
    "histogram",
    "Time from an answer to its label.",
    VERSION,
    "seconds",
    query="histogram_quantile(0.5, sum by (le, model_name, model_version) "
    "(rate(model_manager_label_lag_seconds_bucket[1h])))",
)
FEEDBACK_EVICTED: Final = Description(
    "model_manager_feedback_evicted",
    "counter",
    "Answers that were not kept until their time for a label was over, for want of room: they count nowhere.",
    VERSION,
    query="rate(model_manager_feedback_evicted_total[10m]) > 0",
)
LIVE_METRIC: Final = Description(
    "model_manager_live_metric",
    "gauge",
    "Accuracy, log_loss, roc_auc, mae and rmse, where they can be said, of the labelled answers whose time for a label "
    "ended within the last hour.",
    (*VERSION, "metric"),
    query='min by (model_name, model_version) (model_manager_live_metric{metric="accuracy"})',
)
LIVE_COVERAGE: Final = Description(
    "model_manager_live_coverage",
    "gauge",
    "The share of answers with a label, of those whose time for one ended within the last hour.",
    VERSION,
    query="model_manager_live_coverage < 0.5",
)
FEEDBACK_LABELS: Final = Description(
    "model_manager_feedback_labels",
    "counter",
    "Labels that callers sent, by what became of each: joined, unusable, ambiguous, too_late, not_sampled, unknown.",
    ("status",),
    query='sum(rate(model_manager_feedback_labels_total{status!="joined"}[10m]))',
)

ACCURACY: Final = (
    MATURE_PREDICTIONS,
    LABELLED_PREDICTIONS,
    ABSOLUTE_ERROR,
    LOG_LOSS,
    LABEL_LAG,
    FEEDBACK_EVICTED,
    LIVE_METRIC,
    LIVE_COVERAGE,
)
"""Those that are made of counts which a supervisor adds up itself."""
