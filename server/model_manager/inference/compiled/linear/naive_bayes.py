"""Naive Bayes → heads in numpy: the joint log likelihood of every class by scikit-learn's own terms."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB

from model_manager.inference.compiled.finish import Finish, LabelTable, finished
from model_manager.inference.compiled.form import BuiltHead, Given, Matrix, NotCovered, NotVouched, require_finite
from model_manager.inference.compiled.sparse_rows import SparseRows
from model_manager.signature import Array


def build_naive_bayes_head(estimator: Any, matrix: Matrix) -> BuiltHead | None:
    """Build the head of fitted naive Bayes, None for any other. Raises NotCovered for Gaussians of sparse rows."""
    if type(estimator) is GaussianNB:
        if matrix.sparse:
            raise NotCovered("GaussianNB takes no sparse rows")
        likelihood = _gaussian(estimator)
    elif type(estimator) is BernoulliNB:
        likelihood = _bernoulli(estimator, sparse=matrix.sparse)
    elif type(estimator) in (MultinomialNB, ComplementNB):
        likelihood = _multinomial(estimator, sparse=matrix.sparse)
    else:
        return None
    labels = LabelTable(estimator.classes_)
    finish: Finish = {
        "predict": lambda joint: labels.take(joint.argmax(axis=1)),
        "predict_proba": _probabilities,
    }
    return BuiltHead("numpy", *finished(likelihood, finish))


def _gaussian(estimator: GaussianNB) -> Callable[[Given], Array]:
    # Laid out by feature, class by class: sums along rows are then added up in scikit-learn's order.
    with np.errstate(divide="ignore"):  # a class may have been given no chance
        priors = np.log(estimator.class_prior_)
    terms = [
        (prior, -0.5 * np.sum(np.log(2.0 * np.pi * variance)), mean, variance)
        for prior, mean, variance in zip(priors, estimator.theta_, estimator.var_, strict=True)
    ]

    def likelihood(X: Given) -> Array:
        require_finite(X)
        joint = np.empty((len(X), len(terms)))
        for at, (prior, constant, mean, variance) in enumerate(terms):
            distance = X - mean
            np.square(distance, out=distance)
            distance /= variance
            joint[:, at] = prior + (constant - 0.5 * np.add.reduce(distance, axis=1))
        return joint

    return likelihood


def _multinomial(estimator: Any, *, sparse: bool) -> Callable[[Given], Array]:
    weights = _weights(estimator.feature_log_prob_, sparse=sparse)
    added: Any = 0.0
    if type(estimator) is MultinomialNB or len(estimator.classes_) == 1:
        added = estimator.class_log_prior_

    def likelihood(X: Given) -> Array:
        if not sparse:
            require_finite(X)
        joint: Array = X @ weights
        joint += added
        return joint

    return likelihood


def _bernoulli(estimator: BernoulliNB, *, sparse: bool) -> Callable[[Given], Array]:
    with np.errstate(divide="ignore"):
        absent = np.log(1 - np.exp(estimator.feature_log_prob_))
    weights = _weights(estimator.feature_log_prob_ - absent, sparse=sparse)
    added = estimator.class_log_prior_ + absent.sum(axis=1)
    threshold = estimator.binarize
    if sparse and threshold is not None and threshold < 0:
        raise NotCovered("what is absent cannot be above its threshold")

    def likelihood(X: Given) -> Array:
        if not sparse:
            require_finite(X)
            present = X if threshold is None else np.greater(X, threshold).astype(np.float64)
        else:
            present = X if threshold is None else _present(X, threshold)
        joint: Array = present @ weights
        joint += added
        return joint

    return likelihood


def _present(X: SparseRows, threshold: float) -> SparseRows:
    return SparseRows(X.indptr, X.indices, (X.data > threshold).astype(np.float64), X.shape[1])


def _weights(by_class: Array, *, sparse: bool) -> Array:
    return np.ascontiguousarray(by_class.T) if sparse else by_class.T


def _probabilities(joint: Array) -> Array:
    """Normalise by the logarithm of the sum, as scikit-learn does; raises NotVouched where that is not finite."""
    most = np.maximum.reduce(joint, axis=1, keepdims=True)
    if not np.isfinite(most).all():
        raise NotVouched
    answer: Array = np.exp(joint - (np.log(np.add.reduce(np.exp(joint - most), axis=1, keepdims=True)) + most))
    return answer
