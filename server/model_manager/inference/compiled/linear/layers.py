"""Multi-layer perceptrons → heads in numpy: the same products and activations, without the checks between them."""

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._base import ACTIVATIONS

from model_manager.inference.compiled.finish import Finish, LabelTable, finished
from model_manager.inference.compiled.form import BuiltHead, Given, Matrix, NotCovered, require_finite
from model_manager.signature import Array


def build_layers_head(estimator: Any, matrix: Matrix) -> BuiltHead | None:
    """Build the head of a fitted perceptron, None for any other. Raises NotCovered for one of several labels a row."""
    if type(estimator) not in (MLPClassifier, MLPRegressor):
        return None
    hidden, last = ACTIVATIONS[estimator.activation], ACTIVATIONS[estimator.out_activation_]
    *layers, (last_weights, last_bias) = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    sparse = matrix.sparse

    def forward(X: Given) -> Array:
        if not sparse:
            require_finite(X)
        for weights, bias in layers:
            X = X @ weights
            X += bias
            hidden(X)
        answer: Array = X @ last_weights
        answer += last_bias
        last(answer)
        return answer

    return BuiltHead("numpy", *finished(forward, _finish(estimator)))


def _finish(estimator: Any) -> Finish:
    if isinstance(estimator, MLPRegressor):
        return {"predict": (lambda scores: scores[:, 0]) if estimator.n_outputs_ == 1 else (lambda scores: scores)}
    if estimator._label_binarizer.y_type_ == "multilabel-indicator":
        raise NotCovered("a perceptron of several labels a row has no equivalent here")
    labels = LabelTable(estimator.classes_)
    if estimator.n_outputs_ > 1:
        return {
            "predict": lambda scores: labels.take(scores.argmax(axis=1)),
            "predict_proba": lambda scores: scores,
        }
    return {
        "predict": lambda scores: labels.take((scores[:, 0] > 0.5).view(np.int8)),
        "predict_proba": lambda scores: np.column_stack([1 - scores[:, 0], scores[:, 0]]),
    }
