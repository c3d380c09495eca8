"""Every metric is scikit-learn's, also of a resample: weights are rows that were drawn so often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.evaluation.answers import INLIER, OUTLIER, Answers
from model_manager.evaluation.intervals import figures_of
from model_manager.evaluation.metrics import measure_of, why_undefined
from model_manager.signature import Array, Rows
from sklearn import metrics as theirs

SEEDS = st.integers(0, 10_000)


def classified(truth: Array, predicted: Array, classes: tuple[str, ...], proba: Array | None = None) -> Answers:
    outputs = {"predict": predicted} | ({"predict_proba": proba} if proba is not None else {})
    task = "classification" if len(classes) == 2 else "multiclass"
    return Answers(task, "y", np.arange(len(truth)), Rows((truth,)), outputs, truth, classes)  # type: ignore[arg-type]


def of_two(random: np.random.Generator, rows: int, *, rounded: int = 1) -> Answers:
    classes = ("no", "yes")
    truth = np.array(classes, dtype=object)[random.integers(0, 2, rows)]
    chance = np.round(random.random(rows), rounded)
    predicted = np.array(classes, dtype=object)[(chance > 0.5).astype(int)]
    return classified(truth, predicted, classes, np.stack([1 - chance, chance], axis=1))


def drawn(random: np.random.Generator, rows: int) -> tuple[Array, Array]:
    """A resample as weights, and as positions of the rows in it."""
    chosen = random.integers(0, rows, rows)
    return np.bincount(chosen, minlength=rows).astype(np.float64)[None, :], chosen


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, rows=st.integers(20, 60))
def test_metrics_of_two_classes_are_those_of_sklearn(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    answers = of_two(random, rows)
    assert answers.truth is not None
    weights, at = drawn(random, rows)
    found = {name: float(values[0]) for name, values in measure_of(answers)(weights).items()}
    truth, predicted = answers.truth[at].tolist(), answers.predicted[at].tolist()
    chance = answers.outputs["predict_proba"][at, 1]
    if len(set(truth)) < 2 or len(set(predicted)) < 2:
        return
    expected = {
        "accuracy": theirs.accuracy_score(truth, predicted),
        "balanced_accuracy": theirs.balanced_accuracy_score(truth, predicted),
        "mcc": theirs.matthews_corrcoef(truth, predicted),
        "precision": theirs.precision_score(truth, predicted, pos_label="yes"),
        "recall": theirs.recall_score(truth, predicted, pos_label="yes"),
        "f1": theirs.f1_score(truth, predicted, pos_label="yes"),
        "roc_auc": theirs.roc_auc_score([one == "yes" for one in truth], chance),
        "average_precision": theirs.average_precision_score(truth, chance, pos_label="yes"),
        "log_loss": theirs.log_loss(truth, answers.outputs["predict_proba"][at], labels=["no", "yes"]),
        "brier": theirs.brier_score_loss(truth, chance, pos_label="yes"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "ece"}


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, rows=st.integers(40, 80))
def test_metrics_of_many_classes_are_those_of_sklearn(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    classes = ("a", "b", "c")
    names = np.array(classes, dtype=object)
    proba = random.dirichlet([1, 1, 1], rows)
    answers = classified(names[random.integers(0, 3, rows)], names[proba.argmax(axis=1)], classes, proba)
    assert answers.truth is not None
    weights, at = drawn(random, rows)
    found = {name: float(values[0]) for name, values in measure_of(answers)(weights).items()}
    truth, predicted = answers.truth[at].tolist(), answers.predicted[at].tolist()
    if len(set(truth)) < 3:
        return
    expected = {
        "accuracy": theirs.accuracy_score(truth, predicted),
        "balanced_accuracy": theirs.balanced_accuracy_score(truth, predicted),
        "mcc": theirs.matthews_corrcoef(truth, predicted),
        "precision_macro": theirs.precision_score(truth, predicted, average="macro", zero_division=0),
        "f1_macro": theirs.f1_score(truth, predicted, average="macro", zero_division=0),
        "f1_weighted": theirs.f1_score(truth, predicted, average="weighted", zero_division=0),
        "roc_auc": theirs.roc_auc_score(truth, proba[at], multi_class="ovr", labels=list(classes)),
        "log_loss": theirs.log_loss(truth, proba[at], labels=list(classes)),
        "brier": theirs.brier_score_loss(truth, proba[at], labels=list(classes)),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS, rows=st.integers(2, 60))
def test_metrics_of_quantities_are_those_of_sklearn(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.normal(1000, 3, rows)
    predicted = np.round(truth + random.normal(0, 2, rows), 1)
    answers = Answers("regression", "y", np.arange(rows), Rows((truth,)), {"predict": predicted}, truth)
    weights, at = drawn(random, rows)
    found = {name: float(values[0]) for name, values in measure_of(answers)(weights).items()}
    if len(set(truth[at])) < 2:
        assert np.isnan(found["r2"])
        return
    expected = {
        "mae": theirs.mean_absolute_error(truth[at], predicted[at]),
        "rmse": theirs.root_mean_squared_error(truth[at], predicted[at]),
        "r2": theirs.r2_score(truth[at], predicted[at]),
        "median_ae": theirs.median_absolute_error(truth[at], predicted[at]),
        "mape": theirs.mean_absolute_percentage_error(truth[at], predicted[at]),
        "bias": float(np.mean(predicted[at] - truth[at])),
    }
    assert found == pytest.approx(expected)


def test_anomalies_are_what_is_asked_after() -> None:
    truth = np.array([OUTLIER, OUTLIER, INLIER, INLIER, INLIER])
    outputs = {
        "predict": np.array([OUTLIER, INLIER, INLIER, INLIER, OUTLIER]),
        "decision_function": np.array([-2.0, 1.0, 2.0, 3.0, -1.0]),
    }
    answers = Answers("anomaly", "y", np.arange(5), Rows((truth,)), outputs, truth)
    found = figures_of(measure_of(answers), 5, resamples=0, seed=0)
    assert (found["precision"].value, found["recall"].value, found["flagged"].value) == (0.5, 0.5, 0.4)
    assert found["roc_auc"].value == pytest.approx(theirs.roc_auc_score(truth == OUTLIER, [2.0, -1, -2, -3, 1]))


def test_calibration_error_is_the_mean_distance_of_what_is_said_from_what_is_seen() -> None:
    truth = np.array(["yes"] * 3 + ["no"] * 7, dtype=object)
    chance = np.array([0.95] * 3 + [0.95] * 2 + [0.05] * 5)
    predicted = np.where(chance > 0.5, "yes", "no").astype(object)
    answers = classified(truth, predicted, ("no", "yes"), np.stack([1 - chance, chance], axis=1))
    # Of five rows said to be yes with 0.95, three are: 0.35 off. Of five with 0.05, none is: 0.05 off.
    assert measure_of(answers)(np.ones((1, 10)))["ece"][0] == pytest.approx((0.35 + 0.05) / 2)


def test_labels_the_model_does_not_know_count_as_wrong() -> None:
    truth = np.array(["no", "yes", "maybe", "yes"], dtype=object)
    predicted = np.array(["no", "yes", "yes", "yes"], dtype=object)
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9]])
    found = measure_of(classified(truth, predicted, ("no", "yes"), proba))(np.ones((1, 4)))
    assert found["accuracy"][0] == 0.75
    assert found["precision"][0] == pytest.approx(2 / 3)
    assert found["log_loss"][0] == pytest.approx(-np.mean(np.log([0.9, 0.8, 0.9])))  # of the rows it knows


def test_the_other_label_can_be_asked_after() -> None:
    answers = of_two(np.random.default_rng(1), 200, rounded=3)
    assert answers.truth is not None
    found = measure_of(answers, "no")(np.ones((1, 200)))
    expected = theirs.recall_score(answers.truth.tolist(), answers.predicted.tolist(), pos_label="no")
    assert found["recall"][0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "predicted", "metric", "why"),
    [
        (["no"] * 4, ["no", "yes", "no", "no"], "roc_auc", "every row is 'no', and one label alone"),
        (["no", "yes"] * 2, ["no"] * 4, "precision", "never answers 'yes'"),
        (["no", "yes"] * 2, ["no"] * 4, "mcc", "every row gets the same answer"),
        (["maybe", "no"] * 2, ["no"] * 4, "recall", "no row is 'yes'"),
    ],
)
def test_what_is_not_defined_says_why(truth: list[str], predicted: list[str], metric: str, why: str) -> None:
    proba = np.full((4, 2), 0.5)
    answers = classified(np.array(truth, object), np.array(predicted, object), ("no", "yes"), proba)
    found = figures_of(measure_of(answers), 4, resamples=50, seed=0)
    assert found[metric].value is None
    assert why in why_undefined(metric, answers)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    held = 0
    for trial in range(120):
        right = random.random(150) < 0.8
        truth = np.where(right, "yes", "no").astype(object)
        answers = classified(truth, np.full(150, "yes", object), ("no", "yes"))
        figure = figures_of(measure_of(answers), 150, resamples=100, seed=trial)["accuracy"]
        assert figure.low is not None
        assert figure.high is not None
        held += figure.low <= 0.8 <= figure.high
    assert 104 <= held <= 119  # 114 are expected; the draws are seeded, and half the width would hold some 80


def test_the_same_seed_gives_the_same_interval() -> None:
    measure = measure_of(of_two(np.random.default_rng(1), 100, rounded=3))
    first = figures_of(measure, 100, resamples=100, seed=5)
    assert figures_of(measure, 100, resamples=100, seed=5) == first
    assert figures_of(measure, 100, resamples=100, seed=6) != first


def test_all_right_is_not_certainly_right() -> None:
    truth = np.array(["no", "yes"] * 10, object)
    found = figures_of(measure_of(classified(truth, truth, ("no", "yes"))), 20, resamples=100, seed=0)
    assert (found["accuracy"].value, found["accuracy"].high) == (1.0, 1.0)
    assert found["accuracy"].low == pytest.approx(0.8316, abs=1e-4)  # Clopper and Pearson's, of 20 of 20
    assert (found["f1"].value, found["f1"].low) == (1.0, None)
