"""Calibrated classifiers → heads: every fold's scores through its calibrators, and the mean of all folds."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.calibration import CalibratedClassifierCV, _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from model_manager.inference.compiled.ensembles.parts import Builders, Score, combined, first_of, score_of
from model_manager.inference.compiled.finish import LabelTable
from model_manager.inference.compiled.form import BuiltHead, Given, NotCovered
from model_manager.signature import Array


def build_calibrated(estimator: Any, builders: Builders) -> BuiltHead | None:
    """Build the head of a fitted calibrated classifier, None for any other.

    Raises NotCovered if the classifier inside has none, or was calibrated by a temperature.
    """
    if type(estimator) is not CalibratedClassifierCV:
        return None
    heads: list[BuiltHead] = []
    folds: list[Score] = []
    for fold in estimator.calibrated_classifiers_:
        head = builders.inside(fold.estimator)
        heads.append(head)
        folds.append(_fold(fold, head, len(estimator.classes_)))
    count = len(folds)
    labels = LabelTable(estimator.classes_)

    def mean(given: Given) -> Array:
        total = folds[0](given)
        for fold in folds[1:]:
            total += fold(given)
        total /= count
        return total

    finish = {"predict": lambda proba: labels.take(proba.argmax(axis=1)), "predict_proba": lambda proba: proba}
    return combined(heads, mean, finish)


def _fold(fold: Any, head: BuiltHead, classes: int) -> Score:
    if fold.method not in ("sigmoid", "isotonic"):
        raise NotCovered(f"calibration by {fold.method} has no equivalent here")
    method = first_of(head, fold.estimator, ("decision_function", "predict_proba"))
    score = score_of(head, method)
    curves = [_curve(calibrator) for calibrator in fold.calibrators]
    # A fold that was fitted to fewer classes tells of those only.
    targets = np.searchsorted(fold.classes, fold.estimator.classes_).tolist()
    if classes == 2:
        curve, of_probability = curves[0], method == "predict_proba"

        def binary(given: Given) -> Array:
            scores = score(given)
            proba = np.empty((len(scores), 2))
            proba[:, 1] = curve(scores[:, 1] if of_probability else scores)
            np.subtract(1.0, proba[:, 1], out=proba[:, 0])
            return proba

        return binary

    def several(given: Given) -> Array:
        scores = score(given)
        proba = np.zeros((len(scores), classes))
        for at, (target, curve) in enumerate(zip(targets, curves, strict=True)):
            proba[:, target] = curve(scores[:, at])
        total = proba.sum(axis=1, keepdims=True)
        answer: Array = np.divide(proba, total, out=np.full_like(proba, 1 / classes), where=total != 0)
        return answer

    return several


def _curve(calibrator: Any) -> Callable[[Array], Array]:
    """A calibrator: scores (rows,) → probabilities."""
    if type(calibrator) is _SigmoidCalibration:
        slope, shift = calibrator.a_, calibrator.b_
        return lambda scores: expit(-(slope * scores + shift))
    if type(calibrator) is not IsotonicRegression or calibrator.out_of_bounds != "clip":
        raise NotCovered(f"{type(calibrator).__name__} has no equivalent here")
    at, heights = calibrator.X_thresholds_, calibrator.y_thresholds_
    if at.dtype != np.float64:
        raise NotCovered(f"it was calibrated in {at.dtype}")
    return lambda scores: np.interp(scores, at, heights)
