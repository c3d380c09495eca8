"""Gradient boosting, classic and by histograms → heads that run as one ONNX TreeEnsemble.

The constant that boosting starts from is added first, as a tree of one leaf, so that sums carry the same rounding.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from model_manager.inference.compiled.finish import Finish, LabelTable, binary_probabilities, finished, softmax
from model_manager.inference.compiled.form import BuiltHead, NotCovered
from model_manager.inference.compiled.trees.tree_model import Tree, constant_tree
from model_manager.inference.compiled.trees.tree_sums import NAME, build_sums, flat_tree, float32_guard, thresholds_of
from model_manager.signature import Array

_HISTOGRAM: Final = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
_GRADIENT: Final = (GradientBoostingClassifier, GradientBoostingRegressor)


def build_boosted_head(estimator: Any, *, nullable: bool) -> BuiltHead | None:
    """Build the head of fitted gradient boosting, None for any other; `nullable`: NaN may occur in the matrix.

    By histograms, the matrix is what the estimator's own encoder makes of X, if it has one. Raises NotCovered for one
    that is too large, or does not start from a constant.
    """
    if type(estimator) in _HISTOGRAM:
        return _histogram_boosting(estimator)
    if type(estimator) in _GRADIENT:
        return _gradient_boosting(estimator, nullable=nullable)
    return None


def _boosted(raw: Callable[[Array], Array], estimator: Any, thresholds: Any, *, tie_is_positive: bool) -> BuiltHead:
    """Finish raw scores (rows, 1 or classes) of gradient boosting."""
    loss = estimator._loss
    inverse = loss.link.inverse
    if not hasattr(estimator, "classes_"):
        return BuiltHead(NAME, *finished(raw, {"predict": lambda scores: inverse(scores[:, 0])}), thresholds)
    labels = LabelTable(estimator.classes_)
    if loss.is_multiclass:
        finish: Finish = {
            "predict": lambda scores: labels.take(scores.argmax(axis=1)),
            "predict_proba": lambda scores: softmax(scores),
            "decision_function": lambda scores: scores,
        }
        return BuiltHead(NAME, *finished(raw, finish), thresholds)

    def predict(scores: Array) -> Array:
        positive = scores[:, 0] >= 0 if tie_is_positive else scores[:, 0] > 0
        return labels.take(positive.view(np.int8))

    finish = {
        "predict": predict,
        "predict_proba": lambda scores: binary_probabilities(inverse(scores[:, 0])),
        "decision_function": lambda scores: scores[:, 0],
    }
    return BuiltHead(NAME, *finished(raw, finish), thresholds)


def _gradient_boosting(estimator: Any, *, nullable: bool) -> BuiltHead:
    targets = estimator.estimators_.shape[1]
    width = estimator.n_features_in_
    # What boosting starts from must be a constant; one row tells it.
    if isinstance(estimator.init_, str) or type(estimator.init_).__name__.startswith("Dummy"):
        start = estimator._raw_predict_init(np.zeros((1, width), dtype=np.float32))[0]
    else:
        raise NotCovered(f"its init, {type(estimator.init_).__name__}, is not a constant")
    trees = [constant_tree(value, target) for target, value in enumerate(start.tolist())]
    trees += [
        flat_tree(part.tree_, estimator.learning_rate * part.tree_.value[:, 0, 0], target)
        for stage in estimator.estimators_
        for target, part in enumerate(stage)
    ]
    sums = build_sums(trees, targets=targets, width=width, float32=True)
    guard = float32_guard(nullable=nullable)

    def raw(X: Array) -> Array:
        guard(X)
        return sums(X)

    return _boosted(raw, estimator, thresholds_of(trees), tie_is_positive=True)


def _histogram_boosting(estimator: Any) -> BuiltHead:
    start = estimator._baseline_prediction.ravel().tolist()
    trees = [constant_tree(value, target) for target, value in enumerate(start)]
    trees += [
        _histogram_tree(predictor, target) for stage in estimator._predictors for target, predictor in enumerate(stage)
    ]
    sums = build_sums(trees, targets=len(start), width=estimator._n_features, float32=False)
    numeric = [tree for tree in trees if not tree.members]
    return _boosted(sums, estimator, thresholds_of(numeric), tie_is_positive=False)


def _histogram_tree(predictor: Any, target: int) -> Tree:
    nodes = predictor.nodes
    bitsets = predictor.raw_left_cat_bitsets
    members = {
        int(at): np.flatnonzero(np.unpackbits(bitsets[nodes["bitset_idx"][at]].view(np.uint8), bitorder="little"))
        for at in np.flatnonzero(nodes["is_categorical"])
    }
    return Tree(
        nodes["left"].astype(np.int64),
        nodes["right"].astype(np.int64),
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["missing_go_to_left"],
        nodes["is_leaf"],
        nodes["value"],
        target,
        members or None,
    )
