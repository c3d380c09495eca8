"""Sums over scikit-learn's trees, run as one ONNX TreeEnsemble: what every head made of trees shares."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from model_manager.inference.compiled.form import NotVouched
from model_manager.inference.compiled.session import open_session
from model_manager.inference.compiled.thresholds import choose_thresholds
from model_manager.inference.compiled.trees.tree_model import Tree, build_tree_model
from model_manager.signature import Array

NAME: Final = "onnx-trees"

_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_SAFE_SQUARES: Final = 1e76
"""Where the squares of a batch add up to less, every value fits a float32."""

Sums: TypeAlias = Callable[[Array], Array]


def build_sums(trees: list[Tree], *, targets: int, width: int, float32: bool) -> Sums:
    run = open_session(build_tree_model(trees, targets=targets, width=width, float32=float32), ["Y"])

    def sums(X: Array) -> Array:
        total: Array = run({"X": np.ascontiguousarray(X)})[0]
        return total

    return sums


def float32_guard(*, nullable: bool) -> Callable[[Array], None]:
    """A check that raises NotVouched for values that scikit-learn's float32 trees refuse."""

    def guard(X: Array) -> None:
        if np.vdot(X, X) < _SAFE_SQUARES:
            return
        fits = np.abs(X) <= _FLOAT32_MAX
        if nullable:
            fits |= np.isnan(X)
        if not fits.all():
            raise NotVouched

    return guard


def flat_tree(tree: Any, weight: Array, target: int) -> Tree:
    """One of scikit-learn's `Tree` objects, with a weight per node."""
    leaf = tree.children_left == -1
    return Tree(
        tree.children_left,
        tree.children_right,
        tree.feature,
        tree.threshold,
        tree.missing_go_to_left,
        leaf,
        weight,
        target,
    )


def thresholds_of(trees: Sequence[Tree]) -> tuple[tuple[int, float], ...]:
    """Pairs of feature and threshold at which trees decide, evenly chosen."""
    inner = [~tree.is_leaf.astype(np.bool_) for tree in trees]
    features = np.concatenate([tree.feature[at] for tree, at in zip(trees, inner, strict=True)])
    thresholds = np.concatenate([tree.threshold[at] for tree, at in zip(trees, inner, strict=True)])
    return choose_thresholds(features, thresholds)
