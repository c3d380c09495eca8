"""Metrics for weights of rows: scikit-learn's values, and those of the rows repeated as often as they weigh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.evaluation.paired_metrics import (
    HIGHER_IS_BETTER,
    Measure,
    measures_of_labels,
    measures_of_numbers,
    measures_of_probabilities,
    measures_of_scores,
)
from model_manager.signature import Array
from sklearn import metrics

_SEEDS = st.integers(0, 10_000)


def _values(measures: dict[str, Measure], rows: int) -> dict[str, float]:
    return {name: measure.value(rows) for name, measure in measures.items()}


def _classified(seed: int, classes: int) -> tuple[Array, Array, Array]:
    """Truth, probabilities with ties, and the labels they lead to."""
    random = np.random.default_rng(seed)
    truth = np.r_[np.arange(classes), random.integers(0, classes, 60)]
    odds = random.integers(1, 9, (len(truth), classes)) + 4 * (truth[:, np.newaxis] == np.arange(classes))
    probabilities = odds / odds.sum(1, keepdims=True)
    return truth, probabilities, probabilities.argmax(1)


@given(_SEEDS, st.integers(2, 5))
def test_labels_are_measured_as_scikit_learn_does(seed: int, classes: int) -> None:
    truth, _, answers = _classified(seed, classes)
    values = _values(measures_of_labels(truth, answers, classes), len(truth))
    assert values["accuracy"] == pytest.approx(metrics.accuracy_score(truth, answers))
    assert values["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, answers))
    assert values["f1_macro"] == pytest.approx(metrics.f1_score(truth, answers, average="macro"))


@given(_SEEDS, st.integers(2, 5))
def test_probabilities_are_measured_as_scikit_learn_does(seed: int, classes: int) -> None:
    truth, probabilities, _ = _classified(seed, classes)
    values = _values(measures_of_probabilities(truth, probabilities), len(truth))
    two = classes == 2
    given_to_second = probabilities[:, 1] if two else probabilities
    assert values["log_loss"] == pytest.approx(metrics.log_loss(truth, probabilities))
    assert values["brier"] == pytest.approx(metrics.brier_score_loss(truth, given_to_second, labels=range(classes)))
    assert values["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, given_to_second, multi_class="ovr"))


@given(_SEEDS)
def test_numbers_are_measured_as_scikit_learn_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.normal(1e3, 10, 50)
    answers = truth + random.normal(0, 5, 50)
    values = _values(measures_of_numbers(truth, answers), 50)
    assert values["r2"] == pytest.approx(metrics.r2_score(truth, answers))
    assert values["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, answers))
    assert values["mae"] == pytest.approx(metrics.mean_absolute_error(truth, answers))


@given(_SEEDS)
def test_a_weight_is_a_row_so_often(seed: int) -> None:
    truth, probabilities, answers = _classified(seed, 3)
    rows = len(truth)
    weights = np.random.default_rng(seed).integers(0, 4, rows)
    weights[:3] = 1  # every class is there
    again = np.repeat(np.arange(rows), weights)
    pairs = [
        (measures_of_labels(truth, answers, 3), measures_of_labels(truth[again], answers[again], 3)),
        (
            measures_of_probabilities(truth, probabilities),
            measures_of_probabilities(truth[again], probabilities[again]),
        ),
        (
            measures_of_scores(truth == 1, probabilities[:, 1]),
            measures_of_scores(truth[again] == 1, probabilities[again, 1]),
        ),
        (
            measures_of_numbers(truth.astype(float), probabilities[:, 0]),
            measures_of_numbers(truth[again].astype(float), probabilities[again, 0]),
        ),
    ]
    for weighted, repeated in pairs:
        for name, measure in weighted.items():
            (value,) = measure.weighted(weights[np.newaxis].astype(float))
            assert value == pytest.approx(repeated[name].value(len(again))), name


def test_losses_order_sides_as_their_metric_does() -> None:
    truth, probabilities, answers = _classified(3, 3)
    better = {
        **measures_of_labels(truth, answers, 3),
        **measures_of_probabilities(truth, probabilities),
        **measures_of_numbers(truth.astype(float), answers.astype(float)),
    }
    moved = np.roll(answers, 1), np.roll(probabilities, 1, axis=0)
    worse = {
        **measures_of_labels(truth, moved[0], 3),
        **measures_of_probabilities(truth, moved[1]),
        **measures_of_numbers(truth.astype(float), moved[0].astype(float)),
    }
    rows = len(truth)
    del better["ece"]  # which may favour whoever guesses
    for name, measure in better.items():
        higher = measure.value(rows) > worse[name].value(rows)
        assert higher is HIGHER_IS_BETTER[name], name
        other = worse[name]
        if measure.losses is not None and other.losses is not None:
            assert measure.losses.mean() < other.losses.mean(), name


def test_calibration_is_perfect_where_shares_come_true() -> None:
    probabilities = np.repeat([[0.75, 0.25], [0.25, 0.75]], 4, axis=0)
    truth = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    assert measures_of_probabilities(truth, probabilities)["ece"].value(8) == pytest.approx(0)
    certain = np.repeat([[1.0, 0.0], [0.0, 1.0]], 4, axis=0)
    assert measures_of_probabilities(truth, certain)["ece"].value(8) == pytest.approx(0.25)


def test_what_has_no_value_is_nan() -> None:
    same = np.zeros(5, dtype=np.int64)
    assert np.isnan(measures_of_numbers(np.full(5, 0.1), np.arange(5.0))["r2"].value(5))
    assert np.isnan(measures_of_scores(same == 0, np.arange(5.0))["roc_auc"].value(5))


def test_a_label_that_no_side_knows_is_always_wrong() -> None:
    truth, answers = np.array([0, 1, -1]), np.array([0, 1, 1])
    values = _values(measures_of_labels(truth, answers, 2), 3)
    assert values["accuracy"] == pytest.approx(2 / 3)
    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    assert measures_of_probabilities(truth, probabilities)["log_loss"].value(3) > 10
