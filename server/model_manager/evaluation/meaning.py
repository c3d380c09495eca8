"""What figures mean, in a sentence each, for people who decide and do not compute.

Place in the flow: after evaluating; the report and the table in the terminal take their words from here.
"""

from collections.abc import Mapping
from typing import Final

from model_manager.evaluation.intervals import Figure
from model_manager.evaluation.metrics import LOWER_IS_BETTER, NEITHER_IS_BETTER
from model_manager.evaluation.results import Evaluated, SegmentResult

CALLED: Final[Mapping[str, str]] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "Matthews correlation",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "precision_macro": "precision, mean of labels",
    "f1_macro": "F1, mean of labels",
    "f1_weighted": "F1, weighted by label",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "median_ae": "median absolute error",
    "mape": "mean relative error",
    "bias": "bias",
    "flagged": "flagged",
}
"""Metrics as people call them."""

_MEANINGS: Final[Mapping[str, str]] = {
    "accuracy": "of all rows, the share that is answered right",
    "balanced_accuracy": "the share answered right, each label counting alike however rare it is",
    "mcc": "1 is perfect, 0 no better than chance, whatever the labels' shares",
    "precision": "of the rows answered {positive}, the share that is {positive}",
    "recall": "of the rows that are {positive}, the share that is found",
    "f1": "precision and recall in one figure, low where either is",
    "precision_macro": "of the rows answered with a label, the share that has it; the mean of all labels",
    "f1_macro": "precision and recall in one figure, each label counting alike",
    "f1_weighted": "precision and recall in one figure, frequent labels counting more",
    "roc_auc": "the chance that a row of the label ranks above one that is not; 0.5 is guessing",
    "average_precision": "precision over all thresholds; guessing reaches the share of {positive}",
    "log_loss": "the penalty for confident mistakes; 0 is perfect",
    "brier": "the mean squared distance of probabilities from what came; 0 is perfect",
    "ece": "by how much probabilities are off on average; 0 means that they can be taken at their word",
    "mae": "by how much an answer is off on average, in units of the target",
    "rmse": "the same, large misses counting more",
    "r2": "the share of the target's variation that is explained; 1 is perfect, 0 no better than the mean",
    "median_ae": "half of the answers are off by less",
    "mape": "by how much an answer is off on average, as a share of the truth",
    "bias": "above 0: answers are too high on average; below: too low",
    "flagged": "of all rows, the share that is taken for anomalies",
}


def meaning(name: str, evaluated: Evaluated) -> str:
    """Say what a metric is."""
    positive = "an anomaly" if evaluated.task == "anomaly" else f"“{evaluated.positive}”"
    return _MEANINGS[name].replace("{positive}", positive)


def better(name: str) -> str:
    """Say which way a metric is better: "higher", "lower", or "" for neither."""
    return "" if name in NEITHER_IS_BETTER else "lower" if name in LOWER_IS_BETTER else "higher"


def number(value: float | None) -> str:
    """Write a number for people: three digits after the point of a share, five in all of a quantity."""
    if value is None:
        return "—"
    if 0 < abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.5g}" if abs(value) < 100_000 else f"{value:,.0f}"


def share(value: float | None) -> str:
    """Write a share for people."""
    return "—" if value is None else f"{100 * value:.1f}%"


def interval(figure: Figure) -> str:
    """Write an interval; a dash where there is none."""
    return "—" if figure.low is None else f"{number(figure.low)} – {number(figure.high)}"


def summary(evaluated: Evaluated) -> str:
    """Say in one or two sentences what the version is worth."""
    figure = evaluated.figures[evaluated.headline]
    if figure.value is None and evaluated.task != "anomaly":
        why = evaluated.undefined.get(evaluated.headline, "")
        return f"Its {CALLED[evaluated.headline]} is not defined here: {why}."
    if evaluated.task == "regression":
        sure = "" if figure.low is None else f" (95% interval {interval(figure)})"
        said = f"On average its answers are off by {number(figure.value)}{sure}, in units of “{evaluated.target}”."
        return f"{said} {_beside_the_median(figure, evaluated)}"
    if evaluated.task == "anomaly":
        flagged = share(evaluated.figures["flagged"].value)
        if evaluated.target is None:
            return f"It takes {flagged} of the rows for anomalies; nothing says which of them are."
        if evaluated.figures["recall"].value is None:
            return f"No row is an anomaly; it takes {flagged} of them for one."
        recall, precision = (share(evaluated.figures[name].value) for name in ("recall", "precision"))
        return (
            f"It finds {recall} of the anomalies, and flags {flagged} of all rows; {precision} of these are anomalies."
        )
    sure = (
        ""
        if figure.low is None or figure.high is None
        else f" (95% interval {share(figure.low)} – {share(figure.high)})"
    )
    said = f"It answers {share(figure.value)} of the rows right{sure}."
    return f"{said} {_beside_one_answer(figure, evaluated)}"


def differs(segment: SegmentResult, evaluated: Evaluated) -> str:
    """Say "better" or "worse" of a segment whose interval leaves the figure of all rows out; nothing else."""
    whole, part = evaluated.figures[evaluated.headline].value, segment.figures[evaluated.headline]
    if whole is None or part.low is None or part.high is None or part.low <= whole <= part.high:
        return ""
    if evaluated.headline in NEITHER_IS_BETTER:
        return "differs"
    lower = part.high < whole
    return "better" if lower == (evaluated.headline in LOWER_IS_BETTER) else "worse"


def _beside_one_answer(figure: Figure, evaluated: Evaluated) -> str:
    if evaluated.baseline is None or figure.value is None:
        return ""
    often = share(evaluated.baseline)
    if evaluated.baseline == 1:
        return "Every row has the same label, so that this tells little."
    if figure.low is not None and figure.low > evaluated.baseline:
        return f"Always giving the most frequent label would reach {often}: it has learned something."
    if figure.value < evaluated.baseline:
        return f"Always giving the most frequent label would reach {often}, which is better: look at the other figures."
    return f"Always giving the most frequent label would reach {often}: too near to tell them apart for certain."


def _beside_the_median(figure: Figure, evaluated: Evaluated) -> str:
    if evaluated.baseline is None or figure.value is None:
        return ""
    off = number(evaluated.baseline)
    if evaluated.baseline == 0:
        return f"“{evaluated.target}” never changes in these rows, so that this tells little."
    if figure.high is not None and figure.high < evaluated.baseline:
        return f"Always answering the median would be off by {off}: it has learned something."
    if figure.value > evaluated.baseline:
        return f"Always answering the median would be off by {off}, which is better: it does worse than no model."
    return f"Always answering the median would be off by {off}: too near to tell them apart for certain."
