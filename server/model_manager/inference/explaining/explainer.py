"""One version's explainer: the exact one that its estimator allows, or one that asks it.

In the flow: serving.explaining, on its thread → **explainer** → base values and contributions by column of the input.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from model_manager.errors import NotExplained, PredictionFailed, one_line
from model_manager.inference.explaining.coalitions import Coalitions
from model_manager.inference.explaining.columns import Mixed, dense, features_of, steps_of
from model_manager.inference.explaining.linear import Weights, weights_of
from model_manager.inference.explaining.tree_paths import TreePaths
from model_manager.inference.explaining.trees import SummedTrees, trees_of
from model_manager.inference.explaining.units import Unit
from model_manager.inference.features import feature_builder
from model_manager.inference.predictor import SklearnPredictor
from model_manager.signature import Array, Layout, Output, Rows, Signature

Method = Literal["trees", "linear", "subsets", "permutations"]
_TOLD: Final = "this version is not explained"
_MOST_COLUMNS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Explained:
    """`base` (outputs,) plus the sum over the columns of `contributions` (rows, columns, outputs) is the answer."""

    base: Array
    contributions: Array


class Explainer(Protocol):
    """Explains rows. `output` names what is explained, `unit` what it is counted in, `method` how it is done."""

    output: Output
    unit: Unit
    method: Method

    def explain(self, rows: Rows) -> Explained:
        """Explain each row. Raises PredictionFailed where code of the model raises."""
        ...


def explainer_of(predictor: SklearnPredictor, background: Rows | None, *, budget: int) -> Explainer:
    """Choose how a version is explained; `budget`: the most rows that the model is asked for each one explained.

    Raises NotExplained with the reason, and PredictionFailed where code of the model raises.
    """
    signature = predictor.signature
    if signature.columns is None or signature.layout is Layout.TEXT:
        raise NotExplained(f"{_TOLD}: explanations are by column, and its input has none")
    if len(signature.columns) > _MOST_COLUMNS:
        raise NotExplained(f"{_TOLD}: it has {len(signature.columns)} columns, {_MOST_COLUMNS} are explained at most")
    exact = _exact(predictor, signature, background)
    if exact is not None:
        return exact
    output = _asked(signature)
    if background is None:
        raise NotExplained(f"{_TOLD}: it is explained by asking it, which needs {_BACKGROUND}")
    return _Asking(predictor, output, background, budget)


_BACKGROUND: Final = "a baseline or golden rows in its metadata.json (pack it with data), to tell what is usual"


def _exact(predictor: SklearnPredictor, signature: Signature, background: Rows | None) -> "_Exact | None":
    """An explainer for what is a sum of trees or weights, behind transformers that mix no columns; None otherwise."""
    steps, last = steps_of(predictor.estimator)
    read = trees_of(last) or weights_of(last)
    offered = {output.name: output for output in signature.offered}
    if read is None or read.output not in offered:
        return None
    try:
        columns = features_of(steps, [column.name for column in signature.columns or ()])
    except Mixed:
        return None
    front, width = _Front(signature, steps, last), len(signature.columns or ())
    columns = columns[front.order] if front.order is not None else columns
    if isinstance(read, SummedTrees):
        paths = TreePaths(read.trees, read.start, columns, width, float32=read.float32)
        return _Exact(read, offered[read.output], front, columns, paths)
    if background is None:
        raise NotExplained(f"{_TOLD}: a linear model is explained by what is usual, which needs {_BACKGROUND}")
    usual = front.matrix(background).mean(axis=0)
    return _Exact(read, offered[read.output], front, columns, _Weighing(read, columns, width, usual))


class _Front:
    """What makes the matrix that the last estimator sees. `order`: in which it has the features, where not theirs."""

    def __init__(self, signature: Signature, steps: list[Any], last: Any) -> None:
        self._build = feature_builder(signature)
        self._steps = steps
        self._last = last if getattr(last, "_preprocessor", None) is not None else None
        self.order: Array | None = None
        if self._last is not None:  # boosting by histograms that encodes its categories, and has them first
            self.order = np.r_[np.flatnonzero(last.is_categorical_), np.flatnonzero(~last.is_categorical_)]

    def matrix(self, rows: Rows) -> Array:
        """Features of (rows, features) in float64. Raises PredictionFailed where a transformer raises."""
        try:
            X = self._build(rows)
            for step in self._steps:
                X = step.transform(X)
            return dense(X if self._last is None else self._last._preprocess_X(X, reset=False))
        except Exception as error:
            shown = f"transform raised {type(error).__name__[:100]}"
            raise PredictionFailed(f"transform raised {one_line(error)}", shown=shown) from error


class _Weighing:
    """Contributions of a linear model: each feature's weight times its distance from what is usual."""

    def __init__(self, weights: Weights, columns: Array, width: int, usual: Array) -> None:
        self._weights = weights.coefficients
        self._columns = columns
        self._width = width
        self._usual = usual
        self.base: Array = weights.intercept + usual @ weights.coefficients

    def contributions(self, row: Array) -> Array:
        """Contributions of (columns, outputs) for one row of features."""
        found = np.zeros((self._width, len(self.base)))
        np.add.at(found, self._columns, (row - self._usual)[:, None] * self._weights)
        return found


class _Exact:
    def __init__(
        self, read: SummedTrees | Weights, output: Output, front: _Front, columns: Array, parts: TreePaths | _Weighing
    ) -> None:
        self.output = output
        self.unit = read.unit
        self.method: Method = "linear" if isinstance(read, Weights) else "trees"
        self._front = front
        self._features = len(columns)
        self._parts = parts

    def explain(self, rows: Rows) -> Explained:
        """Explain each row."""
        matrix = self._front.matrix(rows)
        if matrix.shape[1] != self._features:
            raise PredictionFailed(f"transform gave {matrix.shape[1]} features, not {self._features}")
        return Explained(self._parts.base, np.array([self._parts.contributions(row) for row in matrix]))


class _Asking:
    def __init__(self, predictor: SklearnPredictor, output: Output, background: Rows, budget: int) -> None:
        self.output = output
        self.unit: Unit = "probability"
        if output.name != "predict_proba":
            self.unit = "value" if output.name == "predict" else "score"

        def answer(rows: Rows) -> Array:
            answers = predictor.predict(rows, (output.name,))[output.name]
            return answers.reshape(len(rows), -1).astype(np.float64)

        self._coalitions = Coalitions(answer, predictor.signature, background, budget=budget)
        self.method: Method = "subsets" if self._coalitions.every_subset else "permutations"

    def explain(self, rows: Rows) -> Explained:
        """Explain each row."""
        each = [Rows(tuple(block[at : at + 1] for block in rows.blocks)) for at in range(len(rows))]
        return Explained(self._coalitions.base, np.array([self._coalitions.contributions(row) for row in each]))


def _asked(signature: Signature) -> Output:
    """The output of numbers that is explained where any could be: the most telling one that there is."""
    classifies = any(output.classes for output in signature.offered)
    names = ("predict_proba", "decision_function", *(() if classifies else ("predict", "score_samples")))
    for name in names:
        for output in signature.offered:
            if output.name == name and output.datatype not in ("BYTES", "BOOL") and _is_one_or_classes(output):
                return output
    raise NotExplained(f"{_TOLD}: it answers no numbers, nor scores of classes, that contributions could add up to")


def _is_one_or_classes(output: Output) -> bool:
    if len(output.shape) == 1 or output.shape[1:] == (1,):
        return True
    return len(output.shape) == 2 and output.shape[1] == len(output.classes)
