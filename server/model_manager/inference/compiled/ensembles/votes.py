"""Votes and averages of several estimators → heads."""

from typing import Any

import numpy as np
from sklearn.ensemble import VotingClassifier, VotingRegressor

from model_manager.inference.compiled.ensembles.parts import Builders, Score, combined, score_of
from model_manager.inference.compiled.finish import Finish, LabelTable
from model_manager.inference.compiled.form import BuiltHead, Given
from model_manager.signature import Array


def build_vote(estimator: Any, builders: Builders) -> BuiltHead | None:
    """Build the head of a fitted vote, None for any other. Raises NotCovered if some part has none."""
    if type(estimator) not in (VotingClassifier, VotingRegressor):
        return None
    heads = [builders.inside(part) for part in estimator.estimators_]
    weights = estimator._weights_not_none
    if isinstance(estimator, VotingRegressor):
        averaged = _together([score_of(head, "predict") for head in heads])
        finish: Finish = {
            "predict": lambda values: np.average(values, axis=1, weights=weights),
            "transform": lambda values: values,
        }
        return combined(heads, averaged, finish)
    labels = LabelTable(estimator.classes_)
    if estimator.voting == "soft":
        return combined(heads, *_soft(heads, labels, weights, flat=estimator.flatten_transform))
    counted = _hard(weights, len(estimator.classes_))
    finish = {
        "predict": lambda votes: labels.take(counted(votes)),
        "transform": lambda votes: votes,
    }
    return combined(heads, _together([score_of(head, "predict") for head in heads]), finish)


def _together(scores: list[Score]) -> Score:
    """What the parts answer, side by side: (rows, parts)."""
    return lambda given: np.stack([score(given) for score in scores], axis=1)


def _soft(heads: list[BuiltHead], labels: LabelTable, weights: Any, *, flat: bool) -> tuple[Score, Finish]:
    scores = [score_of(head, "predict_proba") for head in heads]

    def average(probabilities: Array) -> Array:
        return np.asarray(np.average(probabilities, axis=0, weights=weights))

    def every(given: Given) -> Array:
        return np.stack([score(given) for score in scores])

    finish: Finish = {
        "predict": lambda probabilities: labels.take(average(probabilities).argmax(axis=1)),
        "predict_proba": average,
    }
    if flat:
        finish["transform"] = lambda probabilities: np.hstack(list(probabilities))
    return every, finish


def _hard(weights: Any, classes: int) -> Any:
    """Count (rows, parts) numbers of classes; of those with most votes, the first wins."""
    weigh = None if weights is None else np.asarray(weights, dtype=np.float64)

    def winner(votes: Array) -> Array:
        count, parts = votes.shape
        cells = votes + (np.arange(count) * classes)[:, np.newaxis]
        weighed = None if weigh is None else np.broadcast_to(weigh, (count, parts)).ravel()
        counted = np.bincount(cells.ravel(), weighed, count * classes).reshape(count, classes)
        first: Array = counted.argmax(axis=1)
        return first

    return winner
