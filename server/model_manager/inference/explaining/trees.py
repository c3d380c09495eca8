"""Fitted trees, forests and gradient boosting of scikit-learn → what `tree_paths` adds up, and in which unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from model_manager.inference.explaining.tree_paths import Nodes
from model_manager.inference.explaining.units import Unit
from model_manager.signature import Array

_CLASSIFIERS: Final = (RandomForestClassifier, ExtraTreesClassifier, DecisionTreeClassifier, ExtraTreeClassifier)
_REGRESSORS: Final = (RandomForestRegressor, ExtraTreesRegressor, DecisionTreeRegressor, ExtraTreeRegressor)
_GRADIENT: Final = (GradientBoostingClassifier, GradientBoostingRegressor)
_HISTOGRAM: Final = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


@dataclass(frozen=True, slots=True)
class SummedTrees:
    """Trees whose sum, after `start`, is what `output` answers. `float32`: they compare features as float32."""

    output: str
    unit: Unit
    trees: Sequence[Nodes]
    start: Array
    float32: bool = True


def trees_of(estimator: Any) -> SummedTrees | None:
    """Read a fitted estimator; None for any other, and for one whose answer is no sum over its trees."""
    kind = type(estimator)
    if kind in (*_CLASSIFIERS, *_REGRESSORS):
        return _forest(estimator) if estimator.n_outputs_ == 1 else None
    if kind in _GRADIENT:
        return _gradient_boosting(estimator)
    if kind in _HISTOGRAM:
        return _histogram_boosting(estimator)
    return None


def _forest(estimator: Any) -> SummedTrees:
    parts = [part.tree_ for part in getattr(estimator, "estimators_", [estimator])]
    if type(estimator) in _REGRESSORS:
        trees = [_nodes(tree, tree.value[:, 0, :1] / len(parts)) for tree in parts]
        return SummedTrees("predict", "value", trees, np.zeros(1))
    shares = [tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True) for tree in parts]
    trees = [_nodes(tree, share / len(parts)) for tree, share in zip(parts, shares, strict=True)]
    return SummedTrees("predict_proba", "probability", trees, np.zeros(len(estimator.classes_)))


def _gradient_boosting(estimator: Any) -> SummedTrees | None:
    if not isinstance(estimator.init_, str) and not type(estimator.init_).__name__.startswith("Dummy"):
        return None  # what it starts from depends on the row
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))[0]
    targets = len(start)
    trees = [
        _nodes(part.tree_, _only(estimator.learning_rate * part.tree_.value[:, 0, 0], target, targets))
        for stage in estimator.estimators_
        for target, part in enumerate(stage)
    ]
    output, unit = _margin(estimator, targets)
    return SummedTrees(output, unit, trees, np.asarray(start, dtype=np.float64))


def _histogram_boosting(estimator: Any) -> SummedTrees | None:
    start = estimator._baseline_prediction.ravel().astype(np.float64)
    output, unit = _margin(estimator, len(start))
    if output == "predict" and type(estimator._loss.link).__name__ != "IdentityLink":
        return None  # its answer is the exponential of a sum
    trees = [
        _histogram_nodes(predictor, target, len(start))
        for stage in estimator._predictors
        for target, predictor in enumerate(stage)
    ]
    return SummedTrees(output, unit, trees, start, float32=False)


def _margin(estimator: Any, targets: int) -> tuple[str, Unit]:
    if not hasattr(estimator, "classes_"):
        return "predict", "value"
    log_odds = targets == 1 and estimator.loss == "log_loss"
    return "decision_function", "log-odds" if log_odds else "score"


def _only(values: Array, target: int, targets: int) -> Array:
    """A value for each node, as the only one of several outputs that is not zero."""
    wide = np.zeros((len(values), targets))
    wide[:, target] = values
    return wide


def _nodes(tree: Any, values: Array) -> Nodes:
    own = np.arange(tree.node_count)
    leaf = tree.children_left == -1
    return Nodes(
        np.where(leaf, own, tree.children_left),
        np.where(leaf, own, tree.children_right),
        tree.feature,
        tree.threshold,
        tree.missing_go_to_left,
        tree.weighted_n_node_samples,
        values,
    )


def _histogram_nodes(predictor: Any, target: int, targets: int) -> Nodes:
    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    own = np.arange(len(nodes))
    leaf = nodes["is_leaf"].astype(bool)
    members = {
        int(at): np.flatnonzero(np.unpackbits(bitsets[nodes["bitset_idx"][at]].view(np.uint8), bitorder="little"))
        for at in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf)
    }
    return Nodes(
        np.where(leaf, own, nodes["left"]).astype(np.intp),
        np.where(leaf, own, nodes["right"]).astype(np.intp),
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["missing_go_to_left"],
        nodes["count"].astype(np.float64),
        _only(nodes["value"], target, targets),
        members or None,
    )
