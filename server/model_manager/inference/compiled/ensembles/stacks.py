"""Stacked estimators → heads: the parts' answers side by side are the matrix that the last estimator is given."""

from typing import Any

import numpy as np
from sklearn.ensemble import StackingClassifier, StackingRegressor

from model_manager.inference.compiled.ensembles.parts import NAME, Builders, score_of
from model_manager.inference.compiled.finish import LabelTable
from model_manager.inference.compiled.form import Answers, BuiltHead, Given, Matrix, NotCovered
from model_manager.signature import Array


def build_stack(estimator: Any, builders: Builders) -> BuiltHead | None:
    """Build the head of a fitted stack, None for any other. Raises NotCovered if some part has none."""
    if type(estimator) not in (StackingClassifier, StackingRegressor):
        return None
    given = builders.matrix
    if estimator.passthrough and (given is None or given.sparse):
        raise NotCovered("it passes rows on to its last estimator that are no dense matrix")
    heads = [builders.inside(part) for part in estimator.estimators_]
    classes = len(getattr(estimator, "classes_", ()))
    scores = [score_of(head, method) for head, method in zip(heads, estimator.stack_method_, strict=True)]
    drops = [method == "predict_proba" and classes == 2 for method in estimator.stack_method_]
    width = int(estimator.final_estimator_.n_features_in_)
    last = builders.behind(estimator.final_estimator_, Matrix(width, nullable=given is not None and given.nullable))
    passes = estimator.passthrough

    def stacked(X: Given) -> Array:
        columns = []
        for score, drop in zip(scores, drops, strict=True):
            answer = score(X)
            columns.append(answer[:, np.newaxis] if answer.ndim == 1 else answer[:, 1:] if drop else answer)
        if passes:
            columns.append(X)
        return np.concatenate(columns, axis=1)

    # A classifier's last estimator was fitted to the numbers of classes; its labels are the classes themselves.
    labels = LabelTable(estimator.classes_) if isinstance(estimator, StackingClassifier) else None
    if isinstance(getattr(estimator, "_label_encoder", None), list):
        raise NotCovered("it tells several labels of a row")

    def run(X: Given, outputs: tuple[str, ...]) -> Answers:
        matrix = stacked(X)
        asked = tuple(output for output in outputs if output != "transform")
        answers = last.run(matrix, asked) if asked else {}
        if labels is not None and "predict" in answers:
            answers["predict"] = labels.take(answers["predict"])
        if "transform" in outputs:
            answers["transform"] = matrix
        return answers

    thresholds = tuple(sorted({threshold for head in heads for threshold in head.thresholds}))
    return BuiltHead(NAME, last.outputs | {"transform"}, run, thresholds)
