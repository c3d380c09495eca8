"""One classifier against the rest for every class → heads."""

from typing import Any

import numpy as np
from sklearn.multiclass import OneVsRestClassifier

from model_manager.inference.compiled.ensembles.parts import Builders, Score, combined, first_of, score_of
from model_manager.inference.compiled.finish import Finish, LabelTable
from model_manager.inference.compiled.form import BuiltHead, Given, NotCovered
from model_manager.signature import Array


def build_one_vs_rest(estimator: Any, builders: Builders) -> BuiltHead | None:
    """Build the head of a fitted one-against-the-rest classifier, None for any other.

    Raises NotCovered if the classifier inside has none, or a row may have several labels.
    """
    if type(estimator) is not OneVsRestClassifier:
        return None
    if estimator.multilabel_:
        raise NotCovered("it tells several labels of a row")
    heads = [builders.inside(part) for part in estimator.estimators_]
    method = first_of(heads[0], estimator.estimators_[0], ("decision_function", "predict_proba"))
    labels = LabelTable(estimator.classes_)
    deciding = [_decision(head, method) for head in heads]
    finish: Finish = {}
    if len(heads) == 1:
        limit = 0.0 if method == "decision_function" else 0.5
        finish["predict"] = lambda scores: labels.take((scores[:, 0] > limit).view(np.int8))
    else:
        finish["predict"] = lambda scores: labels.take(scores.argmax(axis=1))
    if method == "decision_function":
        finish["decision_function"] = (lambda scores: scores[:, 0]) if len(heads) == 1 else (lambda scores: scores)
    else:
        finish["predict_proba"] = _normalized
    return _with_probabilities(combined(heads, _together(deciding), finish), heads)


def _decision(head: BuiltHead, method: str) -> Score:
    score = score_of(head, method)
    return (lambda given: score(given)[:, 1]) if method == "predict_proba" else score


def _together(scores: list[Score]) -> Score:
    return lambda given: np.stack([score(given) for score in scores], axis=1)


def _normalized(positive: Array) -> Array:
    """Probabilities of every class by itself → such that add up to 1."""
    if positive.shape[1] == 1:
        return np.concatenate([1 - positive, positive], axis=1)
    total = positive.sum(axis=1, keepdims=True)
    answer: Array = np.divide(positive, total, out=np.zeros_like(positive), where=total != 0)
    return answer


def _with_probabilities(decided: BuiltHead, heads: list[BuiltHead]) -> BuiltHead:
    """Add probabilities where the classifiers decide by scores and have probabilities too."""
    if "predict_proba" in decided.outputs or any("predict_proba" not in head.outputs for head in heads):
        return decided
    together = _together([_decision(head, "predict_proba") for head in heads])
    run = decided.run

    def both(given: Given, outputs: tuple[str, ...]) -> dict[str, Array]:
        others = tuple(output for output in outputs if output != "predict_proba")
        answers = run(given, others) if others else {}
        if "predict_proba" in outputs:
            answers["predict_proba"] = _normalized(together(given))
        return answers

    return BuiltHead(decided.name, decided.outputs | {"predict_proba"}, both, decided.thresholds)
