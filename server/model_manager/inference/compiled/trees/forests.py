"""Decision trees, forests and isolation forests → heads.

Sums are formed in scikit-learn's order and finished with its formulas, so answers are expected bit for bit; the proof
decides.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from model_manager.inference.compiled.finish import Finish, LabelTable, finished
from model_manager.inference.compiled.form import BuiltHead, NotCovered
from model_manager.inference.compiled.trees.tree_model import Tree
from model_manager.inference.compiled.trees.tree_sums import (
    NAME,
    Sums,
    build_sums,
    flat_tree,
    float32_guard,
    thresholds_of,
)
from model_manager.signature import Array

_FORESTS: Final = (
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
_SUMMED_VALUES: Final = 2
"""Up to this many values a leaf: a copy of the trees for each, added up natively. Above: looked up in numpy."""


def build_forest_head(estimator: Any, *, nullable: bool) -> BuiltHead | None:
    """Build the head of a fitted tree or forest, None for any other; `nullable`: NaN may occur in the matrix.

    Raises NotCovered for one that is too large.
    """
    if type(estimator) in _FORESTS:
        return _forest(estimator, nullable=nullable)
    if type(estimator) is IsolationForest:
        return _isolation_forest(estimator, nullable=nullable)
    return None


def _forest(estimator: Any, *, nullable: bool) -> BuiltHead:
    parts = list(getattr(estimator, "estimators_", [estimator]))
    values = [part.tree_.value for part in parts]  # (nodes, targets, classes) each
    per_leaf = int(np.prod(values[0].shape[1:]))
    guard = float32_guard(nullable=nullable)
    width = estimator.n_features_in_
    if per_leaf <= _SUMMED_VALUES:
        trees = [
            flat_tree(part.tree_, value.reshape(len(value), -1)[:, target], target)
            for part, value in zip(parts, values, strict=True)
            for target in range(per_leaf)
        ]
        sums = build_sums(trees, targets=per_leaf, width=width, float32=True)
    else:
        trees, sums = _looked_up(parts, values, width)
    shape = values[0].shape[1:]
    count = len(parts)

    def average(X: Array) -> Array:
        guard(X)
        total = sums(X)
        if count > 1:
            total /= count
        return total.reshape(len(X), *shape)

    finish = _vote(estimator) if hasattr(estimator, "classes_") else _value(estimator.n_outputs_)
    return BuiltHead(NAME, *finished(average, finish), thresholds_of(trees))


def _looked_up(parts: list[Any], values: list[Array], width: int) -> tuple[list[Tree], Sums]:
    """Ask for the leaf each tree ends at, one target per tree, and add the leaves' values up in numpy."""
    starts = np.cumsum([0, *(len(value) for value in values)])
    trees = [
        flat_tree(part.tree_, np.arange(start, start + len(value)), index)
        for index, (part, value, start) in enumerate(zip(parts, values, starts[:-1], strict=True))
    ]
    leaves = build_sums(trees, targets=len(parts), width=width, float32=True)
    table = np.concatenate([value.reshape(len(value), -1) for value in values])

    def sums(X: Array) -> Array:
        total: Array = np.add.reduce(table[leaves(X).astype(np.intp)], axis=1)
        return total

    return trees, sums


def _vote(estimator: Any) -> Finish:
    if estimator.n_outputs_ == 1:
        labels = LabelTable(estimator.classes_)
        return {
            "predict": lambda scores: labels.take(scores[:, 0].argmax(axis=1)),
            "predict_proba": lambda scores: scores[:, 0],
        }
    tables = [LabelTable(classes) for classes in estimator.classes_]
    counts = estimator.n_classes_

    def predict(scores: Array) -> Array:
        return np.stack([t.take(scores[:, at].argmax(axis=1)) for at, t in enumerate(tables)], axis=1)

    def proba(at: int) -> Callable[[Array], Array]:
        return lambda scores: scores[:, at, : counts[at]]

    return {"predict": predict} | {f"predict_proba_{at}": proba(at) for at in range(len(tables))}


def _value(targets: int) -> Finish:
    if targets == 1:
        return {"predict": lambda scores: scores[:, 0, 0]}
    return {"predict": lambda scores: scores[:, :, 0]}


def _isolation_forest(estimator: Any, *, nullable: bool) -> BuiltHead:
    trees = [
        _isolating(part.tree_, features, path + average - 1.0)
        for part, features, path, average in zip(
            estimator.estimators_,
            estimator.estimators_features_,
            estimator._decision_path_lengths,
            estimator._average_path_length_per_tree,
            strict=True,
        )
    ]
    sums = build_sums(trees, targets=1, width=estimator.n_features_in_, float32=True)
    guard = float32_guard(nullable=nullable)
    offset = estimator.offset_
    length = _average_path_length(estimator._max_samples)
    denominator = len(trees) * length

    def score(X: Array) -> Array:
        guard(X)
        scores: Array = -(2 ** (-(sums(X)[:, 0] / denominator)))
        return scores

    finish: Finish = {
        "predict": lambda scores: np.where(scores - offset < 0, -1, 1),
        "decision_function": lambda scores: scores - offset,
        "score_samples": lambda scores: scores,
    }
    return BuiltHead(NAME, *finished(score, finish), thresholds_of(trees))


def _isolating(tree: Any, features: Array, weight: Array) -> Tree:
    """A tree that saw only `features`: its feature numbers are turned into the forest's."""
    flat = flat_tree(tree, weight, 0)
    feature = np.where(flat.is_leaf, 0, np.asarray(features)[np.maximum(flat.feature, 0)])
    return Tree(flat.left, flat.right, feature, flat.threshold, flat.missing_left, flat.is_leaf, weight, 0)


def _average_path_length(samples: int) -> float:
    """How deep an unsuccessful search goes in a binary tree of so many samples, as isolation forests normalise by."""
    if samples <= 1:
        raise NotCovered("an isolation forest of single samples")
    if samples == 2:
        return 1.0
    return float(2.0 * (np.log(samples - 1.0) + np.euler_gamma) - 2.0 * (samples - 1.0) / samples)
