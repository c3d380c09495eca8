"""server/model_manager/inference/predictor.py over a zoo of estimators: the answers are scikit-learn's own."""

import asyncio
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import LoadFailed, PredictionFailed
from model_manager.inference.golden import check_golden
from model_manager.inference.methods import METHODS
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from model_manager.signature import DTYPES, Layout, Output, Rows, Signature
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.unit.zoo import ARRAY, CHURN, FRAME, LABELS, TARGET, ZOO, Specimen, encode_and_scale


@pytest.fixture(scope="module", params=ZOO)
def specimen(request: pytest.FixtureRequest) -> tuple[Specimen, Any, Signature]:
    one = ZOO[request.param]
    estimator = one.make().fit(one.X, one.y)
    return one, estimator, infer_signature(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_signature_is_what_the_estimator_takes_and_gives(specimen: tuple[Specimen, Any, Signature]) -> None:
    one, _, signature = specimen
    assert signature.layout is one.layout
    assert [output.name for output in signature.outputs] == one.outputs.split()
    assert signature.columns is not None
    if isinstance(one.X, pd.DataFrame):
        assert [column.name for column in signature.columns] == list(one.X.columns)
        assert signature.named
    else:
        assert len(signature.columns) == (1 if one.layout is Layout.TEXT else one.X.shape[1])
        assert not signature.named


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("count", [1, 7])
def test_answers_are_the_estimators_own(specimen: tuple[Specimen, Any, Signature], count: int) -> None:
    one, estimator, signature = specimen
    predictor = SklearnPredictor(estimator, signature)
    X = one.X[:count]
    names = tuple(output.name for output in signature.outputs)
    answers = predictor.predict(rows_of(X, signature), names)
    for output in signature.outputs:
        expected = own_answer(estimator, output.name, X)
        assert_same(answers[output.name], expected)
        assert answers[output.name].dtype == DTYPES[output.datatype]
        assert answers[output.name].shape[1:] == output.shape[1:]


def own_answer(estimator: Any, output: str, X: Any) -> Any:
    answer = getattr(estimator, output)(X) if output in METHODS else estimator.predict_proba(X)[int(output[-1])]
    return answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)


def assert_same(answer: Any, expected: Any) -> None:
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(answer, expected, rtol=1e-9, atol=1e-12)
    else:
        assert answer.tolist() == expected.tolist()


class Odd(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of one's own that breaks what its answers promise."""

    def fit(self, X: Any, y: Any) -> "Odd":
        self.n_features_in_ = X.shape[1]
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        if np.any(X < 0):
            raise ValueError("negative\n  values")
        return np.zeros(max(len(X), 2))


def test_a_wrong_number_of_rows_is_an_error_and_never_an_answer() -> None:
    signature = Signature(Layout.ARRAY, None, False, (Output("predict", "FP64", (-1,)),))
    predictor = SklearnPredictor(Odd().fit(ARRAY, TARGET), signature)
    with pytest.raises(PredictionFailed, match=r"predict answered 2 rows to 1"):
        predictor.predict(Rows((np.zeros((1, 4)),)), ("predict",))
    assert predictor.predict(Rows((np.zeros((3, 4)),)), ("predict",))["predict"].tolist() == [0, 0, 0]


def test_what_the_estimator_raises_is_told_in_one_line() -> None:
    signature = Signature(Layout.ARRAY, None, False, (Output("predict", "FP64", (-1,)),))
    predictor = SklearnPredictor(Odd().fit(ARRAY, TARGET), signature)
    with pytest.raises(PredictionFailed, match=r"^predict raised ValueError: negative values$") as failed:
        predictor.predict(Rows((np.full((2, 4), -1.0),)), ("predict",))
    # what a caller is told, and what asyncio logs of an error that nobody asked for: the text may quote rows
    assert failed.value.shown == "predict raised ValueError"
    assert repr(failed.value) == "PredictionFailed('predict raised ValueError')"


class Unprintable(Exception):
    """Cannot even be told."""

    def __str__(self) -> str:
        raise GeneratorExit


class Raising(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Raises what it is told to, or answers what it is told to."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def predict(self, X: Any) -> Any:
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (SystemExit(3), "predict raised SystemExit: 3"),
        (GeneratorExit(), "predict raised GeneratorExit"),
        (asyncio.CancelledError("mine"), "predict raised CancelledError: mine"),
        (StopIteration(), "predict raised StopIteration"),
        (Unprintable(), "predict raised Unprintable: its message cannot be read (GeneratorExit)"),
        (ValueError("x" * 10_000_000), f"predict raised ValueError: {'x' * 300}"),
        (np.array(["a"], dtype=object), "predict raised ValueError: could not convert string to float: 'a'"),
        (None, "predict answered no rows to 1"),
    ],
    ids=["exit", "generator", "cancelled", "stop", "unprintable", "long", "another type", "nothing"],
)
def test_whatever_the_estimator_does_only_the_prediction_fails(outcome: Any, told: str) -> None:
    signature = Signature(Layout.ARRAY, None, False, (Output("predict", "FP64", (-1,)),))
    predictor = SklearnPredictor(Raising(outcome), signature)
    with pytest.raises(PredictionFailed) as failed:
        predictor.predict(Rows((np.zeros((1, 4)),)), ("predict",))
    assert str(failed.value) == told
    with pytest.raises(LoadFailed, match="the golden rows cannot be predicted") as unloaded:
        check_golden(predictor, Rows((np.zeros((1, 4)),)), {"predict": [0]})
    assert unloaded.value.reason == "golden_mismatch"


def test_an_interrupt_ends_what_a_person_runs() -> None:
    signature = Signature(Layout.ARRAY, None, False, (Output("predict", "FP64", (-1,)),))
    with pytest.raises(KeyboardInterrupt):
        SklearnPredictor(Raising(KeyboardInterrupt()), signature).predict(Rows((np.zeros((1, 4)),)), ("predict",))


def test_only_the_outputs_asked_for_are_computed() -> None:
    estimator = LogisticRegression(max_iter=500).fit(ARRAY, LABELS)
    predictor = SklearnPredictor(estimator, infer_signature(estimator))
    assert list(predictor.predict(Rows((ARRAY[:2],)), ("predict_proba", "predict"))) == ["predict_proba", "predict"]
    assert list(predictor.predict(Rows((ARRAY[:2],)), ("predict",))) == ["predict"]


def test_unknown_and_missing_categories_reach_the_encoder_as_it_knows_them() -> None:
    estimator = make_pipeline(encode_and_scale(), LogisticRegression()).fit(FRAME, CHURN)
    signature = infer_signature(estimator)
    odd = FRAME.head(3).assign(city=["elsewhere", np.nan, "bern"], age=[np.nan, 30.0, np.nan])
    rows = Rows(
        (
            odd["age"].to_numpy(),
            np.array(["elsewhere", np.nan, "bern"], dtype=object),
            odd["visits"].to_numpy(),
            odd["plan"].to_numpy(dtype=object),
            odd["member"].to_numpy(dtype=np.float64),
        )
    )
    answers = SklearnPredictor(estimator, signature).predict(rows, ("predict_proba",))
    np.testing.assert_allclose(answers["predict_proba"], estimator.predict_proba(odd))
