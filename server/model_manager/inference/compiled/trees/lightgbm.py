"""LightGBM's trees → heads that run as one ONNX TreeEnsemble; LightGBM itself is asked for its trees, never imported.

Its thresholds, leaves and sums are doubles, and it adds trees up in their order, as the operator does.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from scipy.special import expit

from model_manager.inference.compiled.finish import Finish, LabelTable, binary_probabilities, finished, softmax
from model_manager.inference.compiled.form import BuiltHead, NotCovered
from model_manager.inference.compiled.trees.tree_model import Tree
from model_manager.inference.compiled.trees.tree_sums import NAME, build_sums, thresholds_of
from model_manager.signature import Array

_NAMES: Final = ("LGBMClassifier", "LGBMRegressor")
_AS_SUMMED: Final = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
_EXPONENTIAL: Final = ("poisson", "gamma", "tweedie")


def build_lightgbm_head(estimator: Any, *, nullable: bool) -> BuiltHead | None:
    """Build the head of a fitted classifier or regressor of LightGBM, None for any other.

    `nullable` makes no difference: every tree says where a missing value goes. Raises NotCovered for trees of
    categories or of linear leaves, random forests, and objectives of the author's own.
    """
    kind = type(estimator)
    if kind.__name__ not in _NAMES or kind.__module__.partition(".")[0] != "lightgbm":
        return None
    booster = estimator.booster_
    model = booster.dump_model(num_iteration=estimator.best_iteration_ or None)
    if model["average_output"] or booster.params.get("linear_tree") or booster.params.get("pred_early_stop"):
        raise NotCovered("its trees are averaged, linear or left early")
    targets = model["num_tree_per_iteration"]
    trees = [_tree(one["tree_structure"], at % targets) for at, one in enumerate(model["tree_info"])]
    objective, *options = model.get("objective", "custom").split()
    finish = _finish(estimator, objective, dict(option.partition(":")[::2] for option in options))
    sums = build_sums(trees, targets=targets, width=model["max_feature_idx"] + 1, float32=False)
    return BuiltHead(NAME, *finished(sums, finish), thresholds_of(trees))


def _finish(estimator: Any, objective: str, options: dict[str, str]) -> Finish:
    if not hasattr(estimator, "classes_"):
        if objective in _AS_SUMMED and "sqrt" not in options:
            return {"predict": lambda scores: scores[:, 0]}
        if objective in _EXPONENTIAL:
            return {"predict": lambda scores: np.exp(scores[:, 0])}
        raise NotCovered(f"objective={objective!r} has no equivalent here")
    labels = LabelTable(estimator.classes_)
    probabilities = _probabilities(objective, options)
    return {
        "predict": lambda scores: labels.take(probabilities(scores).argmax(axis=1)),
        "predict_proba": probabilities,
        "decision_function": lambda scores: scores[:, 0] if scores.shape[1] == 1 else scores,
    }


def _probabilities(objective: str, options: dict[str, str]) -> Callable[[Array], Array]:
    if objective == "binary":
        slope = float(options["sigmoid"])
        return lambda scores: binary_probabilities(expit(slope * scores[:, 0]))
    if objective == "multiclass":
        return softmax
    if objective == "multiclassova":
        slope = float(options["sigmoid"])
        return lambda scores: np.asarray(expit(slope * scores))
    raise NotCovered(f"objective={objective!r} has no equivalent here")


def _tree(root: dict[str, Any], target: int) -> Tree:
    nodes = list(_numbered(root))
    number = {id(node): at for at, node in enumerate(nodes)}
    leaf = np.array(["leaf_value" in node for node in nodes])
    left = [number[id(node["left_child"])] if "left_child" in node else 0 for node in nodes]
    right = [number[id(node["right_child"])] if "right_child" in node else 0 for node in nodes]
    return Tree(
        np.array(left, dtype=np.int64),
        np.array(right, dtype=np.int64),
        np.array([node.get("split_feature", 0) for node in nodes], dtype=np.int64),
        np.array([node.get("threshold", 0.0) for node in nodes], dtype=np.float64),
        np.array([_missing_left(node) for node in nodes], dtype=np.int64),
        leaf,
        np.array([node.get("leaf_value", 0.0) for node in nodes], dtype=np.float64),
        target,
    )


def _numbered(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node and all below it; a tree may be deeper than Python recurses."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if "left_child" in node:
            waiting += (node["right_child"], node["left_child"])


def _missing_left(node: dict[str, Any]) -> bool:
    """Where NaN goes; a tree that never saw one takes it for 0."""
    if "leaf_value" in node:
        return False
    if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
        raise NotCovered("its trees ask for categories, or take zeros for missing")
    return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0.0)
