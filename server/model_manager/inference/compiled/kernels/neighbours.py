"""Nearest neighbours among few training rows → heads in numpy: one product of a batch with all of them.

Which of several neighbours at the same distance counts is up to scikit-learn's search, so it is asked about the rows
for which the last neighbour and the next are as good as equally far.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from model_manager.inference.compiled.finish import Finish, LabelTable, finished
from model_manager.inference.compiled.form import BuiltHead, Given, Matrix, NotCovered, NotVouched, require_finite
from model_manager.signature import Array

MAX_VALUES: Final = 1_000_000
"""Above this many values of training data a search in trees is no slower."""
_AT_ONCE: Final = 2_000_000
_FEW: Final = 16
"""Up to so many neighbours are looked for one by one: a minimum costs a twentieth of a partition."""
_DOUBT: Final = 1e-12
"""Squares of distances that differ by less than this share of the squares they were computed from are equal."""


def build_neighbours_head(estimator: Any, matrix: Matrix) -> BuiltHead | None:
    """Build the head of fitted nearest neighbours, None for any other. Raises NotCovered for other metrics."""
    if type(estimator) not in (KNeighborsClassifier, KNeighborsRegressor):
        return None
    weights, data = estimator.weights, estimator._fit_X
    if matrix.sparse or not isinstance(data, np.ndarray) or data.dtype != np.float64:
        raise NotCovered("only doubles are compared here")
    euclidean = estimator.effective_metric_ == "euclidean"
    if not euclidean or weights not in ("uniform", "distance") or estimator.n_neighbors >= len(data):
        raise NotCovered(f"metric={estimator.metric!r}, weights={weights!r} have no equivalent here")
    if data.size > MAX_VALUES:
        raise NotCovered(f"its training data are more than {MAX_VALUES} values")
    search = _Search(estimator, by_distance=weights == "distance")
    known = estimator._y
    if isinstance(estimator, KNeighborsRegressor):
        return BuiltHead("numpy", *_means(search, known.astype(np.float64, copy=False)))
    if estimator.outputs_2d_:
        raise NotCovered("neighbours of several labels have no equivalent here")
    return BuiltHead("numpy", *_shares(search, known, LabelTable(estimator.classes_), len(estimator.classes_)))


@dataclass(frozen=True, slots=True)
class _Found:
    """Numbers (rows, k) of the nearest training rows, and what they weigh; None where all weigh the same."""

    at: Array
    weights: Array | None


class _Search:
    """The k nearest training rows."""

    def __init__(self, estimator: Any, *, by_distance: bool) -> None:
        self._data = data = estimator._fit_X
        self._k = estimator.n_neighbors
        self._by_distance = by_distance
        # Trees are searched row by row; by brute force, what is found may depend on the rows beside it.
        self._ask = estimator.kneighbors if estimator._fit_method in ("kd_tree", "ball_tree") else None
        self._centre = data.mean(axis=0)
        around = data - self._centre
        self._across = np.ascontiguousarray(around.T) * -2.0
        self._squares = np.einsum("ij,ij->i", around, around)
        self._largest = float(self._squares.max())
        self._at_once = max(1, _AT_ONCE // len(data))

    def __call__(self, X: Given) -> _Found:
        """Search; raises NotVouched where it matters which of equals is taken."""
        require_finite(X)
        parts = [self._nearest(X[at : at + self._at_once]) for at in range(0, len(X), self._at_once)]
        at = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return _Found(at, self._weights(X, at) if self._by_distance else None)

    def _nearest(self, X: Array) -> Array:
        around = X - self._centre
        distances = around @ self._across
        distances += self._squares  # without the square of the row itself, which is the same for all
        k = self._k
        order, edge = _smallest(distances, k + 1) if k < _FEW else _parted(distances, k)
        doubt = (np.einsum("ij,ij->i", around, around) + self._largest) * _DOUBT
        nearest: Array = order[:, :k]
        open_rows = np.flatnonzero(~(edge[:, 1] - edge[:, 0] > doubt))
        if len(open_rows):
            if self._ask is None:
                raise NotVouched
            nearest[open_rows] = self._ask(X[open_rows], return_distance=False)
        return nearest

    def _weights(self, X: Array, at: Array) -> Array:
        """One by the distance; where some distance is 0, those rows alone."""
        difference = X[:, np.newaxis, :] - self._data[at]
        distances = np.sqrt(np.einsum("ijk,ijk->ij", difference, difference))
        if not np.isfinite(distances).all():
            raise NotVouched
        met = distances == 0
        if met.any():
            rows = met.any(axis=1)
            distances[rows] = np.where(met[rows], 1.0, np.inf)
        answer: Array = 1.0 / distances
        return answer


def _smallest(distances: Array, count: int) -> tuple[Array, Array]:
    """Columns of the `count` smallest of every row, one by one, and the last two values; writes over `distances`."""
    rows = np.arange(len(distances))
    order = np.empty((len(distances), count), dtype=np.intp)
    edge = np.empty((len(distances), 2))
    for at in range(count):
        order[:, at] = least = distances.argmin(axis=1)
        edge[:, 0] = edge[:, 1]
        edge[:, 1] = distances[rows, least]
        distances[rows, least] = np.inf
    return order, edge


def _parted(distances: Array, k: int) -> tuple[Array, Array]:
    """Columns of the k + 1 smallest of every row, in two parts, and the values at the edge between them."""
    order = np.argpartition(distances, (k - 1, k), axis=1)[:, : k + 1]
    return order, np.take_along_axis(distances, order[:, k - 1 :], axis=1)


def _means(search: _Search, known: Array) -> tuple[frozenset[str], Any]:
    def mean(X: Given) -> Array:
        found = search(X)
        values = known[found.at]
        if found.weights is None:
            averaged: Array = np.mean(values, axis=1)
            return averaged
        weights = found.weights if known.ndim == 1 else found.weights[:, :, np.newaxis]
        weighed: Array = np.sum(values * weights, axis=1) / np.sum(weights, axis=1)
        return weighed

    return finished(mean, {"predict": lambda values: values})


def _shares(search: _Search, known: Array, labels: LabelTable, classes: int) -> tuple[frozenset[str], Any]:
    def totals(X: Given) -> Array:
        found = search(X)
        count = len(found.at)
        # Every row has counters of its own, so that one count serves all of them.
        cells = known[found.at] + (np.arange(count) * classes)[:, np.newaxis]
        weights = None if found.weights is None else found.weights.ravel()
        return np.bincount(cells.ravel(), weights, count * classes).reshape(count, classes)

    def share(total: Array) -> Array:
        answer: Array = total / total.sum(axis=1, keepdims=True)
        return answer

    finish: Finish = {"predict": lambda total: labels.take(total.argmax(axis=1)), "predict_proba": share}
    return finished(totals, finish)
