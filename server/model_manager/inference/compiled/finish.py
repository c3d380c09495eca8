"""Raw scores → named outputs: labels, probabilities and values, with scikit-learn's own formulas."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from model_manager.inference.compiled.form import Answers, Head
from model_manager.signature import DTYPES, Array, datatype_of

Finish: TypeAlias = dict[str, Callable[[Array], Array]]
"""How each output is made of the raw scores."""


def finished(raw: Callable[[Array], Array], finish: Finish) -> tuple[frozenset[str], Head]:
    """The outputs, and a head that computes raw scores once for all outputs asked for."""

    def run(X: Array, outputs: tuple[str, ...]) -> Answers:
        scores = raw(X)
        return {name: finish[name](scores) for name in outputs}

    return frozenset(finish), run


class LabelTable:
    """The labels of one classifier, in the order of its classes and the dtype in which answers are declared."""

    def __init__(self, classes: Array) -> None:
        self._labels = np.asarray(classes).astype(DTYPES[datatype_of(np.asarray(classes).dtype)])

    def take(self, numbers: Array) -> Array:
        """Look labels up: (rows,) class numbers → (rows,) labels; strings in an object array."""
        return self._labels.take(numbers)


def binary_probabilities(positive: Array) -> Array:
    """Probabilities (rows, 2) of both classes from those of the second."""
    answer = np.empty((len(positive), 2))
    answer[:, 1] = positive
    np.subtract(1, positive, out=answer[:, 0])
    return answer


def softmax(scores: Array) -> Array:
    """Softmax of every row."""
    answer = scores - np.maximum.reduce(scores, axis=1, keepdims=True)
    np.exp(answer, out=answer)
    answer /= np.add.reduce(answer, axis=1, keepdims=True)
    return answer
