"""Shapley values of sums over decision trees, exact and path-dependent, for all leaves of an ensemble at once.

A leaf gives its value to a row if every feature on its path lets the row through; a feature that is not known lets it
through with the share of the training rows that went that way. With `o` (0 or 1) and `z` (that share) of each of a
path's d features, the Shapley value of feature i of a leaf of value v is the integral over t from 0 to 1 of

    v (o_i - z_i) · product over j ≠ i of (t o_j + (1 - t) z_j)

since t^s (1-t)^(d-1-s) integrates to the weight of a coalition of s. It is a polynomial of degree d - 1: Gauss-Legendre
quadrature with half as many points is exact, every term of it is positive, and nothing has to be unwound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from model_manager.signature import Array

_LEAST_SHARE: Final = 1e-30
"""Stands for the share of a branch that no weighted row took: products of it stay numbers that can be divided by."""
_CATEGORIES: Final = 256


@dataclass(frozen=True, slots=True)
class Nodes:
    """One tree: an array entry per node, the first is the root; a leaf is its own left child.

    A row goes left if its feature is <= threshold, or is among `members` at a node of categories, or is NaN where
    `missing_left` says so. `cover`: the weight of the training rows that came by. `values`: (nodes, outputs).
    """

    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    cover: Array
    values: Array
    members: dict[int, Array] | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """The leaves whose paths have the same number d of features: arrays of (d, leaves), `values` of (leaves, outputs).

    A feature lets a row through if it is above `low` and not above `high`, or NaN where `missing` says so; where
    `table` is not negative, if `allowed[table, category]` says so.
    """

    feature: Array
    low: Array
    high: Array
    missing: Array
    share: Array
    table: Array
    values: Array


class TreePaths:
    """All paths of an ensemble, whose answer is `start` (outputs,) plus the sum of its trees'.

    `base` is what it answers when nothing is known of a row. `columns` numbers, for each feature, what it is counted
    under, out of `width`; `float32`: the trees compare features as float32.
    """

    def __init__(self, trees: Sequence[Nodes], start: Array, columns: Array, width: int, *, float32: bool) -> None:
        self._columns = columns
        self._width = width
        self._float32 = float32
        paths = _paths_of(trees)
        self._allowed = paths.allowed
        self.base: Array = start + paths.base
        self._groups = paths.groups
        self._points = {group.feature.shape[0]: _quadrature(group.feature.shape[0]) for group in paths.groups}

    def contributions(self, row: Array) -> Array:
        """Contributions of (columns, outputs) for one row of features."""
        if self._float32:
            row = row.astype(np.float32).astype(np.float64)
        outputs = len(self.base)
        found = np.zeros((self._width, outputs))
        for group in self._groups:
            points, weights = self._points[group.feature.shape[0]]
            through = self._through(group, row[group.feature])
            factors = group.share[:, None] * (1 - points)[None, :, None]
            factors += through[:, None] * points[None, :, None]
            products = np.multiply.reduce(factors, axis=0) * weights[:, None]
            moved = (products[None] / factors).sum(axis=1)
            moved *= through - group.share
            columns = self._columns[group.feature].ravel()
            for output in range(outputs):
                weighted = (moved * group.values[:, output]).ravel()
                found[:, output] += np.bincount(columns, weighted, minlength=self._width)
        return found

    def _through(self, group: _Group, values: Array) -> Array:
        """Which features let the row through, of (d, leaves)."""
        through: Array = (values > group.low) & (values <= group.high)
        gone = np.isnan(values)
        through[gone] = group.missing[gone]
        if len(self._allowed):
            coded = (group.table >= 0) & ~gone
            codes = values[coded]
            known = (codes >= 0) & (codes < _CATEGORIES)
            allowed = self._allowed[group.table[coded], np.where(known, codes, 0).astype(np.intp)]
            through[coded] = np.where(known, allowed, group.missing[coded])
        return through


def _quadrature(features: int) -> tuple[Array, Array]:
    """Points and weights on [0, 1] that integrate polynomials of degree `features` - 1 exactly."""
    points, weights = np.polynomial.legendre.leggauss((features + 1) // 2)
    return (points + 1) / 2, weights / 2


@dataclass(slots=True)
class _Steps:
    """What leads to leaves, a step of a path each: arrays of equal length. `table`: a row of the categories, or -1."""

    leaf: Array
    feature: Array
    low: Array
    high: Array
    missing: Array
    share: Array
    table: Array


@dataclass(frozen=True, slots=True)
class _Paths:
    groups: list[_Group]
    base: Array
    allowed: Array


def _paths_of(trees: Sequence[Nodes]) -> _Paths:
    steps, values, tables = list[_Steps](), list[Array](), list[Array]()
    leaves = 0
    for tree in trees:
        at = np.flatnonzero(tree.left == np.arange(len(tree.left)))
        steps += _steps_of(tree, at, leaves, tables)
        values.append(tree.values[at])
        leaves += len(at)
    value = np.concatenate(values)
    if not steps:  # every tree is a single leaf
        return _Paths([], value.sum(axis=0), np.zeros((0, _CATEGORIES), dtype=bool))
    every = _Steps(*(np.concatenate([getattr(one, name) for one in steps]) for name in _Steps.__slots__))
    merged, allowed = _by_feature(every, np.array(tables, dtype=bool).reshape(-1, _CATEGORIES))
    begins = np.searchsorted(merged.leaf, np.arange(leaves))
    counts = np.bincount(merged.leaf, minlength=leaves)
    reach = np.ones(leaves)
    np.multiply.at(reach, merged.leaf, merged.share)
    groups = []
    for features in np.unique(counts[counts > 0]):
        here = np.flatnonzero(counts == features)
        place = begins[here] + np.arange(features)[:, None]
        parts = (merged.feature, merged.low, merged.high, merged.missing, merged.share, merged.table)
        feature, low, high, missing, share, table = (part[place] for part in parts)
        groups.append(_Group(feature, low, high, missing, share, table, value[here]))
    return _Paths(groups, reach @ value, allowed)


def _steps_of(tree: Nodes, leaves: Array, first: int, tables: list[Array]) -> list[_Steps]:
    """The steps to every leaf, from the leaves up to the root; those of one length of climbing at a time."""
    count = len(tree.left)
    parent, is_left = np.full(count, -1), np.zeros(count, dtype=bool)
    inner = np.flatnonzero(tree.left != np.arange(count))
    parent[tree.left[inner]] = parent[tree.right[inner]] = inner
    is_left[tree.left[inner]] = True
    table_of = np.full(count, -1)  # of each node: how its own step is, seen from its parent
    for coded, members in (tree.members or {}).items():
        goes_left = np.zeros(_CATEGORIES, dtype=bool)
        goes_left[members] = True
        for child, allowed in ((tree.left[coded], goes_left), (tree.right[coded], ~goes_left)):
            table_of[child] = len(tables)
            tables.append(allowed)
    steps = list[_Steps]()
    node, leaf = leaves, first + np.arange(len(leaves))
    while True:
        above = parent[node]
        on = above >= 0
        if not on.any():
            return steps
        node, leaf, above = node[on], leaf[on], above[on]
        left, table = is_left[node], table_of[node]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.nan_to_num(tree.cover[node] / tree.cover[above], nan=0.0, posinf=0.0)
        steps.append(
            _Steps(
                leaf,
                tree.feature[above].astype(np.intp),
                np.where(left | (table >= 0), -np.inf, tree.threshold[above]),
                np.where(left & (table < 0), tree.threshold[above], np.inf),
                tree.missing_left[above].astype(bool) == left,
                np.maximum(share, _LEAST_SHARE),
                table,
            )
        )
        node = above


def _by_feature(steps: _Steps, tables: Array) -> tuple[_Steps, Array]:
    """Make one of all the steps of a path that ask for the same feature; and the categories that all of them let by."""
    order = np.lexsort((steps.feature, steps.leaf))
    leaf, feature = steps.leaf[order], steps.feature[order]
    starts = np.flatnonzero(np.r_[True, (leaf[1:] != leaf[:-1]) | (feature[1:] != feature[:-1])])
    coded = np.flatnonzero(steps.table[order] >= 0)
    table, allowed = np.full(len(starts), -1), np.zeros((0, _CATEGORIES), dtype=bool)
    if len(coded):
        group = np.searchsorted(starts, coded, side="right") - 1
        first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        allowed = np.logical_and.reduceat(tables[steps.table[order][coded]], first, axis=0)
        table[group[first]] = np.arange(len(first))
    merged = _Steps(
        leaf[starts],
        feature[starts],
        np.maximum.reduceat(steps.low[order], starts),
        np.minimum.reduceat(steps.high[order], starts),
        np.logical_and.reduceat(steps.missing[order], starts),
        np.multiply.reduceat(steps.share[order], starts),
        table,
    )
    return merged, allowed
