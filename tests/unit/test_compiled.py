"""Compiling: wrong forms are rejected, what a form leaves open goes to scikit-learn, and nothing that fails raises."""

import copy
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count, permutations
from typing import Any

import numpy as np
import pytest
from model_manager.errors import PredictionFailed
from model_manager.inference.compiled.builders import candidates
from model_manager.inference.compiled.compilation import (
    Compilation,
    compile_predictor,
    seconds_allowed,
    seconds_before_retry,
)
from model_manager.inference.compiled.converted_heads import build_converted_head
from model_manager.inference.compiled.fastest import MAX_FAILURES, MAX_PLANS, CompiledPredictor, FormFailure
from model_manager.inference.compiled.form import Answers, Form, NotVouched, compose
from model_manager.inference.compiled.fronts.front import build_front
from model_manager.inference.compiled.proof.rows import RowMaker, groups
from model_manager.inference.compiled.proof.scales import find_scales
from model_manager.inference.compiled.proof.trials import make_trials
from model_manager.inference.compiled.proof.verdict import Verdict, prove
from model_manager.inference.compiled.trees.boosting import build_boosted_head
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Array, Output, Rows
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC


@pytest.fixture(scope="module")
def logistic() -> Any:
    X, y = load_iris(return_X_y=True)
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(X, np.array(["a", "b", "c"])[y])


@pytest.fixture(scope="module")
def boosting() -> Any:
    return HistGradientBoostingRegressor(max_iter=10, random_state=0).fit(*load_diabetes(return_X_y=True))


def _served(estimator: Any) -> SklearnPredictor:
    return SklearnPredictor(estimator, infer_signature(estimator))


def _compile(estimator: Any) -> Compilation:
    return compile_predictor(estimator, _served(estimator), None)


def _proved(form: Form, estimator: Any) -> Verdict:
    """Hold a form to the estimator as compiling does, without a limit of time."""
    sklearn = _served(estimator)
    maker = RowMaker(sklearn.signature, find_scales(estimator, sklearn.signature, form.splits))
    outputs = tuple(output.name for output in sklearn.signature.outputs)
    trials = make_trials(groups(maker, None, form.splits), sklearn, outputs, lambda: None)
    return prove(form, trials, lambda: None)


def _numpy_form(estimator: Any) -> Form:
    signature = infer_signature(estimator)
    named = {candidate.name: candidate for candidate in candidates(estimator, signature)}
    return named["numpy"].build()


def _boosted_form(estimator: Any) -> Form:
    front = build_front([], infer_signature(estimator))
    head = build_boosted_head(estimator, nullable=True)
    assert head is not None
    return compose(front.run, head, front.origins)


def test_the_right_forms_prove_equal(logistic: Any, boosting: Any) -> None:
    assert _proved(_numpy_form(logistic), logistic).proven == {"predict", "predict_proba", "decision_function"}
    assert _proved(_boosted_form(boosting), boosting).proven == {"predict"}


def test_thresholds_in_single_precision_are_rejected_at_the_split_points(boosting: Any) -> None:
    rounded = copy.deepcopy(boosting)
    for (predictor,) in rounded._predictors:
        predictor.nodes["num_threshold"] = predictor.nodes["num_threshold"].astype(np.float32)
    right, wrong = _boosted_form(boosting), _boosted_form(rounded)

    verdict = _proved(Form("float32", right.outputs, wrong.predict, right.splits), boosting)

    assert not verdict.proven
    assert verdict.rejected["predict"].startswith("split points: it differs by")


def test_classes_in_another_order_are_rejected(logistic: Any) -> None:
    shuffled = copy.deepcopy(logistic)
    shuffled[-1].classes_ = shuffled[-1].classes_[[1, 0, 2]]
    verdict = _proved(_numpy_form(shuffled), logistic)
    assert "another label" in verdict.rejected["predict"]

    shuffled[-1].coef_ = shuffled[-1].coef_[[1, 0, 2]]
    shuffled[-1].intercept_ = shuffled[-1].intercept_[[1, 0, 2]]
    verdict = _proved(_numpy_form(shuffled), logistic)
    assert verdict.rejected["predict_proba"].startswith("ordinary rows: it differs by")
    assert verdict.rejected["predict"] == "its scores differ, so labels near a tie would"


def test_answers_of_another_type_or_shape_are_rejected(logistic: Any) -> None:
    right = _numpy_form(logistic)

    def codes(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        return {name: np.zeros((len(rows), 1), dtype=np.int64) for name in outputs}

    verdict = _proved(Form("codes", right.outputs, codes), logistic)
    assert verdict.rejected["predict"] == "ordinary rows: it answers int64[1000, 1], scikit-learn object[1000]"


def test_a_form_that_answers_what_scikit_learn_refuses_is_rejected(logistic: Any) -> None:
    right = _numpy_form(logistic)

    def careless(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        return right.predict(Rows((np.nan_to_num(rows.blocks[0], posinf=0, neginf=0),)), outputs)

    verdict = _proved(Form("careless", right.outputs, careless), logistic)
    assert verdict.rejected["predict"] == "infinity: it answers rows that scikit-learn refuses"


def test_a_form_that_raises_or_answers_nothing_is_rejected(logistic: Any) -> None:
    def raises(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        raise ZeroDivisionError("oh")

    def shy(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        raise NotVouched

    outputs = frozenset({"predict"})
    assert _proved(Form("raises", outputs, raises), logistic).rejected == {
        "predict": "ordinary rows: it raises ZeroDivisionError: oh"
    }
    assert _proved(Form("shy", outputs, shy), logistic).rejected == {
        "predict": "it answers none of the rows that clients send"
    }


def test_infinities_are_refused_as_scikit_learn_refuses_them(logistic: Any) -> None:
    compilation = _compile(logistic)
    assert compilation.report.compiled
    with pytest.raises(PredictionFailed, match="infinity"):
        compilation.predictor.predict(Rows((np.array([[1.0, np.inf, 0, 0]]),)), ("predict",))


def test_what_a_form_leaves_open_the_next_one_answers_and_then_scikit_learn(logistic: Any) -> None:
    sklearn = _served(logistic)
    asked: list[str] = []

    def noting(name: str, limit: float) -> Form:
        def predict(rows: Rows, outputs: tuple[str, ...]) -> Answers:
            asked.append(name)
            if rows.blocks[0][0, 0] > limit:
                raise NotVouched
            return {output: np.array([name], dtype=object) for output in outputs}

        return Form(name, frozenset({"predict"}), predict)

    costs = {"predict": {1: {"sklearn": 3.0, "second": 2.0, "first": 1.0, "slow": 4.0}}}
    forms = {"predict": [noting("first", 1.0), noting("second", 2.0), noting("slow", 9.0)]}
    predictor = CompiledPredictor(sklearn, forms, costs)

    answers = [predictor.predict(Rows((np.full((1, 4), value),)), ("predict",))["predict"][0] for value in (1.0, 2, 3)]

    assert answers[:2] == ["first", "second"]
    assert answers[2] in ("a", "b", "c")
    assert asked == ["first", "first", "second", "first", "second"]


def test_outputs_without_a_form_come_from_scikit_learn(logistic: Any) -> None:
    sklearn = _served(logistic)
    form = Form("marked", frozenset({"predict"}), lambda rows, outputs: {"predict": np.array(["x"], dtype=object)})
    predictor = CompiledPredictor(sklearn, {"predict": [form]}, {"predict": {1: {"marked": 0.0, "sklearn": 1.0}}})
    row = Rows((np.zeros((1, 4)),))

    answers = predictor.predict(row, ("predict_proba", "predict"))

    assert predictor.form == "marked+sklearn"
    assert answers["predict"].tolist() == ["x"]
    expected = sklearn.predict(row, ("predict_proba",))["predict_proba"]
    np.testing.assert_array_equal(answers["predict_proba"], expected)


def _failing(name: str, failing: Callable[[], bool]) -> Form:
    """A form that answers its own name, and raises while `failing` says so."""

    def predict(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        if failing():
            raise RuntimeError("no memory\n  left")
        return {output: np.full(len(rows), name, dtype=object) for output in outputs}

    return Form(name, frozenset({"predict"}), predict)


def test_a_form_that_fails_is_counted_and_told_once_and_the_next_one_answers(logistic: Any) -> None:
    told: list[FormFailure] = []
    forms = {"predict": [_failing("first", lambda: True), _failing("second", lambda: False)]}
    costs = {"predict": {1: {"sklearn": 3.0, "second": 2.0, "first": 1.0}}}
    predictor = CompiledPredictor(_served(logistic), forms, costs, failed=told.append)
    row = Rows((np.zeros((1, 4)),))

    answers = [predictor.predict(row, ("predict",))["predict"][0] for _ in range(3)]

    assert answers == ["second"] * 3
    assert predictor.failures == {"first": 3, "second": 0}
    assert [(failure.form, failure.times, failure.given_up) for failure in told] == [("first", 1, False)]
    assert str(told[0].error) == "no memory\n  left"


def test_a_form_that_fails_again_and_again_is_given_up(logistic: Any) -> None:
    told: list[FormFailure] = []
    asked = count()
    failing = _failing("first", lambda: next(asked) >= 0)
    predictor = CompiledPredictor(
        _served(logistic), {"predict": [failing]}, {"predict": {1: {"sklearn": 3.0, "first": 1.0}}}, failed=told.append
    )
    row = Rows((np.zeros((1, 4)),))
    assert (predictor.form, predictor.form_of("predict", 1)) == ("first+sklearn", "first")

    for _ in range(2 * MAX_FAILURES):
        assert predictor.predict(row, ("predict",))["predict"][0] in ("a", "b", "c")

    assert next(asked) == MAX_FAILURES, "a form that was given up is not asked again"
    assert (predictor.form, predictor.form_of("predict", 1)) == ("sklearn", "sklearn")
    assert predictor.failures == {"first": MAX_FAILURES}
    assert [(failure.times, failure.given_up) for failure in told] == [(1, False), (MAX_FAILURES, True)]


def test_rows_that_a_form_leaves_open_or_scikit_learn_refuses_are_no_failures(logistic: Any) -> None:
    told: list[FormFailure] = []
    compilation = compile_predictor(logistic, _served(logistic), None, failed=told.append)
    assert isinstance(compilation.predictor, CompiledPredictor)
    for _ in range(2 * MAX_FAILURES):
        with pytest.raises(PredictionFailed):
            compilation.predictor.predict(Rows((np.full((1, 4), np.inf),)), ("predict",))
    assert told == []
    assert set(compilation.predictor.failures.values()) == {0}


def test_the_plans_that_are_kept_are_bounded_however_outputs_are_ordered(logistic: Any) -> None:
    outputs = tuple(Output(f"predict_proba_{number}", "FP64", (-1,)) for number in range(6))
    form = Form(
        "zeros", frozenset(o.name for o in outputs), lambda rows, asked: {name: np.zeros(len(rows)) for name in asked}
    )
    sklearn = SklearnPredictor(logistic, replace(infer_signature(logistic), outputs=outputs))
    costs = {output.name: {1: {"zeros": 1.0, "sklearn": 2.0}} for output in outputs}
    predictor = CompiledPredictor(sklearn, {output.name: [form] for output in outputs}, costs)
    row = Rows((np.zeros((1, 4)),))
    for names in permutations(output.name for output in outputs):
        assert tuple(predictor.predict(row, names)) == names
    assert len(predictor._plans) <= MAX_PLANS


def test_the_report_tells_form_speed_and_differences(logistic: Any) -> None:
    compilation = _compile(logistic)
    report = compilation.report
    assert compilation.predictor.form == "numpy"
    assert set(report.forms) == {"predict", "predict_proba", "decision_function"}
    assert report.speedup[1] > 2
    assert report.largest_relative_difference < 1e-9
    assert report.rows_proven > 1000
    assert report.rejected == ()
    assert report.reason is None


def test_when_time_is_over_scikit_learn_stays(logistic: Any) -> None:
    ticks = count()
    sklearn = _served(logistic)
    compilation = compile_predictor(logistic, sklearn, None, budget_s=5, clock=lambda: float(next(ticks)))
    assert compilation.predictor is sklearn
    assert compilation.report.reason == "compiling was given 5 s of CPU time, and they are over"


def test_time_that_passes_on_a_busy_machine_is_not_counted(logistic: Any) -> None:
    asked, pause = count(), threading.Event()

    def waits_for_its_turn() -> bool:
        if next(asked) < 20:
            pause.wait(0.15)  # three seconds on the wall, none of this thread
        return False

    compilation = compile_predictor(logistic, _served(logistic), None, budget_s=2.0, stopped=waits_for_its_turn)
    assert compilation.report.compiled
    assert not compilation.report.out_of_time
    assert compilation.report.seconds < 2.0


def test_only_running_out_of_time_is_worth_another_attempt(logistic: Any) -> None:
    sklearn = _served(logistic)
    out_of_time = compile_predictor(logistic, sklearn, None, budget_s=0).report
    stopped = compile_predictor(logistic, sklearn, None, stopped=lambda: True).report
    assert (out_of_time.out_of_time, out_of_time.compiled) == (True, False)
    assert (stopped.out_of_time, stopped.reason) == (False, "nobody needs it any more")
    assert not _compile(logistic).report.out_of_time


def test_attempts_get_more_time_and_come_less_often() -> None:
    assert [seconds_allowed(attempt) for attempt in (1, 2, 3, 4, 5, 10_000)] == [20, 40, 80, 160, 160, 160]
    assert [seconds_before_retry(attempt) for attempt in (1, 2, 3, 11, 12, 9999)] == [60, 120, 240, 61440, 86400, 86400]


def test_without_the_extra_trees_stay_with_scikit_learn_and_the_report_says_why(
    boosting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxruntime", "skl2onnx"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    compilation = _compile(boosting)
    assert not compilation.report.compiled
    advice = "pip install 'model-manager-server[compiled]'"
    assert any(advice in rejection.reason for rejection in compilation.report.rejected)


def _doubled(X: Array) -> Array:
    return X * 2


def test_an_estimator_without_a_form_stays_with_scikit_learn() -> None:
    X, y = load_iris(return_X_y=True)
    estimator = make_pipeline(FunctionTransformer(_doubled), LogisticRegression(max_iter=500)).fit(X, y)
    compilation = compile_predictor(estimator, _served(estimator), Rows((X[:3],)))
    assert not compilation.report.compiled
    assert compilation.report.reason is not None
    assert compilation.report.reason.startswith("no form proved equal to scikit-learn; onnx: ")


def test_several_threads_get_the_same_answers() -> None:
    X, y = load_iris(return_X_y=True)
    estimator = RandomForestClassifier(10, random_state=0).fit(X, y)
    predictor = _compile(estimator).predictor
    assert predictor.form == "onnx-trees"
    expected = estimator.predict_proba(X)
    wrong: list[int] = []

    def work() -> None:
        for at in range(len(X)):
            answer = predictor.predict(Rows((X[at : at + 1],)), ("predict_proba",))["predict_proba"]
            if not np.array_equal(answer[0], expected[at]):
                wrong.append(at)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_scores_in_single_precision_take_their_labels_down_with_them() -> None:
    X, y = load_iris(return_X_y=True)
    estimator = SVC().fit(X, y)
    signature = infer_signature(estimator)
    front = build_front([], signature)
    head = build_converted_head(estimator, width=4, declared=signature.outputs)
    verdict = _proved(compose(front.run, head, front.origins), estimator)  # ONNX Runtime has support vectors in float32
    assert not verdict.proven
    assert verdict.rejected.keys() == {"decision_function", "predict"}


def test_an_estimator_of_unknown_width_stays_with_scikit_learn() -> None:
    estimator = FunctionTransformer().fit(np.zeros((2, 2)))
    del estimator.n_features_in_
    report = _compile(estimator).report
    assert report.reason == "the number of its columns is not known"


def test_an_ensemble_of_too_many_nodes_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_manager.inference.compiled.trees.tree_model.MAX_NODES", 10)
    X, y = load_iris(return_X_y=True)
    report = _compile(RandomForestClassifier(3, random_state=0).fit(X, y)).report
    assert any(rejection.reason == "its trees have more than 10 nodes" for rejection in report.rejected)
    assert "onnx-trees" not in report.forms["predict"].values()


def test_numbers_may_be_categories_and_arrays_may_hold_strings() -> None:
    random = np.random.default_rng(0)
    X = np.empty((200, 2), dtype=object)
    X[:, 0] = random.integers(0, 5, 200).astype(float)
    X[:, 1] = random.choice(["a", "b"], 200)
    columns = ColumnTransformer(
        [("numbers", OneHotEncoder(handle_unknown="ignore"), [0]), ("strings", OrdinalEncoder(), [1])]
    )
    estimator = make_pipeline(columns, LogisticRegression()).fit(X, X[:, 0] == 3)
    compilation = _compile(estimator)
    assert compilation.report.compiled, compilation.report
    answer = compilation.predictor.predict(Rows((X,)), ("predict_proba",))["predict_proba"]
    np.testing.assert_allclose(answer, estimator.predict_proba(X), rtol=1e-9)
    with pytest.raises(PredictionFailed, match="unknown categories"):
        compilation.predictor.predict(Rows((np.array([[1.0, "other"]], dtype=object),)), ("predict",))
