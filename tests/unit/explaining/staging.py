"""Shapley values by their definition, over all subsets, and what trees answer when only some features are known."""

from collections.abc import Callable
from functools import cache
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
from model_manager.inference.explaining.tree_paths import Nodes
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Array, Declared, DeclaredColumn, Rows


def shapley(value: Callable[[frozenset[int]], Array], players: int) -> Array:
    """Contributions of (players, outputs): the weighted mean of what each adds, over all subsets of the others."""
    value = cache(value)
    found = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        total = np.zeros_like(value(frozenset()))
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for known in map(frozenset, combinations(others, size)):
                total = total + weight * (value(known | {player}) - value(known))
        found.append(total)
    return np.array(found)


def knowing(tree: Nodes, row: Array, known: frozenset[int], node: int = 0) -> Array:
    """What a tree answers: unknown features go both ways, weighed by how many training rows did."""
    left, right, feature = int(tree.left[node]), int(tree.right[node]), int(tree.feature[node])
    if left == node:
        return np.asarray(tree.values[node])
    if feature not in known:
        parts = [tree.cover[child] * knowing(tree, row, known, child) for child in (left, right)]
        return np.asarray((parts[0] + parts[1]) / tree.cover[node])
    value = row[feature]
    if np.isnan(value):
        goes_left = bool(tree.missing_left[node])
    elif tree.members is not None and node in tree.members:
        goes_left = value in tree.members[node]
    else:
        goes_left = value <= tree.threshold[node]
    return knowing(tree, row, known, left if goes_left else right)


def by_definition(trees: Any, row: Array) -> Array:
    """Contributions of (features, outputs) of summed trees, by definition."""

    def value(known: frozenset[int]) -> Array:
        return np.asarray(np.sum([knowing(tree, row, known) for tree in trees], axis=0))

    return shapley(value, len(row))


def predictor_of(estimator: Any, columns: tuple[DeclaredColumn, ...] | None = None) -> SklearnPredictor:
    """What serves a fitted estimator."""
    return SklearnPredictor(estimator, infer_signature(estimator, Declared(columns=columns)))


def rows_of(matrix: Any) -> Rows:
    """Rows of a tensor."""
    return Rows((np.asarray(matrix, dtype=np.float64),))
