"""Support vector machines → heads in numpy: one product of a batch with all support vectors instead of a loop.

The margins of all pairs of classes are computed together; votes and ties are decided as libsvm decides them.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy.sparse import issparse
from sklearn.svm import SVC, SVR, NuSVC, NuSVR, OneClassSVM
from sklearn.utils.multiclass import _ovr_decision_function

from model_manager.inference.compiled.finish import Finish, LabelTable, finished
from model_manager.inference.compiled.form import BuiltHead, Given, Matrix, NotCovered, NotVouched, require_finite
from model_manager.signature import Array

MAX_BYTES: Final = 64_000_000
"""Support vectors larger than this are not laid out as a dense matrix."""
_AT_ONCE: Final = 2_000_000
"""So many kernel values are held at once; larger batches are cut."""

_Margins = Callable[[Given], Array]


def build_support_vector_head(estimator: Any, matrix: Matrix) -> BuiltHead | None:
    """Build the head of a fitted machine of libsvm, None for any other.

    Probabilities are left to scikit-learn: libsvm finds them by iterating. Raises NotCovered for a kernel without an
    equivalent, among them all but the linear one for sparse rows.
    """
    if type(estimator) in (SVC, NuSVC):
        weights = _pair_weights(estimator)
        return BuiltHead("numpy", *finished(_margins(estimator, weights, matrix), _classify(estimator)))
    if type(estimator) in (SVR, NuSVR, OneClassSVM):
        margins = _margins(estimator, _dense(estimator.dual_coef_).T, matrix)
        return BuiltHead("numpy", *finished(margins, _value(estimator)))
    return None


def _dense(values: Any) -> Array:
    return np.asarray(values.toarray() if issparse(values) else values, dtype=np.float64)


def _pair_weights(estimator: Any) -> Array:
    """What each support vector weighs in the margin of each pair of classes, (vectors, pairs)."""
    dual = _dense(estimator._dual_coef_)
    ends = np.cumsum(estimator._n_support)
    of_class = [slice(end - count, end) for end, count in zip(ends, estimator._n_support, strict=True)]
    classes = len(of_class)
    weights = np.zeros((dual.shape[1], classes * (classes - 1) // 2))
    pair = 0
    for first in range(classes):
        for second in range(first + 1, classes):
            weights[of_class[first], pair] = dual[second - 1, of_class[first]]
            weights[of_class[second], pair] = dual[first, of_class[second]]
            pair += 1
    return weights


def _margins(estimator: Any, weights: Array, matrix: Matrix) -> _Margins:
    vectors, intercept = estimator.support_vectors_, estimator._intercept_
    if estimator.kernel == "linear":
        linear = np.ascontiguousarray(vectors.T @ weights)
        sparse = matrix.sparse

        def margins(X: Given) -> Array:
            if not sparse:
                require_finite(X)
            answer: Array = X @ linear
            answer += intercept
            return answer

        return margins
    if matrix.sparse:
        raise NotCovered(f"kernel={estimator.kernel!r} has no equivalent here for sparse rows")
    size = vectors.shape[0] * vectors.shape[1] * 8
    if size > MAX_BYTES:
        raise NotCovered(f"its support vectors take {size // 1_000_000} MB")
    kernel = _kernel(estimator, _dense(vectors))
    rows_at_once = max(1, _AT_ONCE // max(1, vectors.shape[0]))

    def of_batch(X: Given) -> Array:
        require_finite(X)
        if len(X) <= rows_at_once:
            answer: Array = kernel(X) @ weights
        else:
            starts = range(0, len(X), rows_at_once)
            answer = np.concatenate([kernel(X[at : at + rows_at_once]) @ weights for at in starts])
        answer += intercept
        if np.isnan(answer).any():
            raise NotVouched
        return answer

    return of_batch


def _kernel(estimator: Any, vectors: Array) -> Callable[[Array], Array]:
    gamma, coef0, degree = estimator._gamma, estimator.coef0, estimator.degree
    if estimator.kernel == "rbf":
        return _radial(gamma, vectors)
    across = np.ascontiguousarray(vectors.T) * gamma
    if estimator.kernel == "poly":
        return lambda X: (X @ across + coef0) ** degree
    if estimator.kernel == "sigmoid":
        return lambda X: np.tanh(X @ across + coef0)
    raise NotCovered("a kernel of its own has no equivalent in numpy")


def _radial(gamma: float, vectors: Array) -> Callable[[Array], Array]:
    """exp(-gamma |x - v|²), the square multiplied out, around the centre of the vectors so that little cancels."""
    centre = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])
    around = vectors - centre
    across = np.ascontiguousarray(around.T) * (2.0 * gamma)
    squares = np.einsum("ij,ij->i", around, around) * gamma

    def kernel(X: Array) -> Array:
        X = X - centre
        answer: Array = X @ across
        answer -= squares
        answer -= (np.einsum("ij,ij->i", X, X) * gamma)[:, np.newaxis]
        np.minimum(answer, 0.0, out=answer)
        np.exp(answer, out=answer)
        return answer

    return kernel


def _classify(estimator: Any) -> Finish:
    labels = LabelTable(estimator.classes_)
    classes = len(estimator.classes_)
    if classes == 2:
        return {
            "predict": lambda margins: labels.take((margins[:, 0] <= 0).view(np.int8)),
            "decision_function": lambda margins: -margins[:, 0],
        }

    def one_against_rest(margins: Array) -> Array:
        return np.asarray(_ovr_decision_function(margins < 0, -margins, classes))

    ovr = estimator.decision_function_shape == "ovr"
    vote = _vote(classes)
    breaks_ties = estimator.break_ties and ovr
    return {
        "predict": (lambda margins: labels.take(one_against_rest(margins).argmax(axis=1)))
        if breaks_ties
        else (lambda margins: labels.take(vote(margins))),
        "decision_function": one_against_rest if ovr else (lambda margins: margins),
    }


def _vote(classes: int) -> Callable[[Array], Array]:
    """Each pair votes for one of its two classes; of the classes with most votes, the first wins."""
    first, second = np.triu_indices(classes, 1)
    for_first = np.zeros((len(first), classes))
    for_first[np.arange(len(first)), first] = 1.0
    for_second = np.zeros((len(first), classes))
    for_second[np.arange(len(first)), second] = 1.0
    difference, all_second = for_first - for_second, for_second.sum(axis=0)

    def vote(margins: Array) -> Array:
        votes: Array = (margins > 0).astype(np.float64) @ difference
        votes += all_second
        winner: Array = votes.argmax(axis=1)
        return winner

    return vote


def _value(estimator: Any) -> Finish:
    if not isinstance(estimator, OneClassSVM):
        return {"predict": lambda margins: margins[:, 0]}
    offset = estimator.offset_
    return {
        "predict": lambda margins: np.where(margins[:, 0] > 0, 1, -1),
        "decision_function": lambda margins: margins[:, 0],
        "score_samples": lambda margins: margins[:, 0] + offset,
    }
