"""server/model_manager/inference/cost.py: what may run on the event loop is decided by what was measured, not guessed.

Estimators here take ten times the budget where they are dear, and next to nothing where they are not.
"""

from itertools import permutations
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pytest
from model_manager.inference.cost import INLINE_BUDGET_S, InlineLimits, measure_inline_limits
from model_manager.inference.features import example_row
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Column, Layout, Output, Rows, Signature
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

TEXT = ["one fine day", "another day", "no day at all"]


class Part(NamedTuple):
    rows: Rows


class Working(BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """Works for as long as its subclass says."""

    def predict(self, X: Any) -> Any:
        self.work(self.seconds(X))
        return np.zeros(len(X))

    def score_samples(self, X: Any) -> Any:
        return np.zeros(len(X))

    def seconds(self, X: Any) -> float:
        return 0.0

    def work(self, seconds: float) -> None:
        end = perf_counter() + seconds
        while perf_counter() < end:
            pass


class Dear(Working):
    def seconds(self, X: Any) -> float:
        return 10 * INLINE_BUDGET_S


class DearByRow(Working):
    def seconds(self, X: Any) -> float:
        return INLINE_BUDGET_S / 10 * len(X)


class DearByGap(Working):
    def seconds(self, X: Any) -> float:
        return 10 * INLINE_BUDGET_S if np.isnan(X).any() else 0.0


class Disturbed(Working):
    """Takes twice the budget in its first runs, as where others have the processors, and next to nothing after them."""

    def __init__(self) -> None:
        self.runs = 0

    def seconds(self, X: Any) -> float:
        self.runs += 1
        return 2 * INLINE_BUDGET_S if self.runs <= 6 else 0.0


class Reading(Working):
    """Reads the column `note`, and looks the others up."""

    def seconds(self, X: Any) -> float:
        return sum(len(text) for text in X["note"] if isinstance(text, str)) / 1000 * INLINE_BUDGET_S / 10


class Particular(Reading):
    """Refuses a city that it does not know, before it reads."""

    def predict(self, X: Any) -> Any:
        if not set(X["city"]) <= {"bern"}:
            raise SystemExit("never heard of it")
        return super().predict(X)


OUTPUTS = (Output("predict", "FP64", (-1,)), Output("score_samples", "FP64", (-1,)))
NUMBERS = Signature(Layout.ARRAY, (Column("a", "FP64"), Column("b", "FP64", nullable=True)), True, OUTPUTS)
TABLE = Signature(
    Layout.FRAME, (Column("city", "BYTES", categories=("bern",)), Column("note", "BYTES", nullable=True)), True, OUTPUTS
)


def measured(estimator: Any, signature: Signature) -> InlineLimits:
    return measure_inline_limits(SklearnPredictor(estimator, signature), example_row(signature))


def text(*documents: str) -> list[Part]:
    return [Part(Rows((np.array([document], dtype=object),))) for document in documents]


def cells(city: str, note: Any) -> list[Part]:
    return [Part(Rows((np.array([city], dtype=object), np.array([note], dtype=object))))]


def test_each_output_is_measured_by_itself() -> None:
    limits = measured(Dear(), NUMBERS)
    assert limits.limit(("predict",)) == (0, None)
    assert limits.limit(("score_samples",)) == (256, None)
    assert limits.limit(("score_samples", "predict")) == (0, None)


def test_what_costs_more_by_the_row_is_limited_in_rows() -> None:
    limit = measured(DearByRow(), NUMBERS).limit(("predict",))
    assert 0 < limit.rows < 16


def test_a_machine_that_is_busy_at_loading_keeps_no_version_off_the_loop() -> None:
    disturbed = Disturbed()
    assert measured(disturbed, NUMBERS).limit(("predict",)).rows == 256
    assert disturbed.runs < 60


def test_what_is_far_too_dear_is_not_tried_often() -> None:
    class Counted(Dear):
        runs = 0

        def seconds(self, X: Any) -> float:
            Counted.runs += 1
            return super().seconds(X)

    assert measured(Counted(), NUMBERS).limit(("predict",)).rows == 0
    assert Counted.runs <= 5  # one that is no measurement, and few that are


def test_gaps_are_tried_where_they_may_be() -> None:
    assert measured(DearByGap(), NUMBERS).limit(("predict",)).rows == 0
    whole = Signature(Layout.ARRAY, (Column("a", "FP64"), Column("b", "FP64")), True, OUTPUTS)
    assert measured(DearByGap(), whole).limit(("predict",)).rows == 256


@pytest.mark.parametrize(
    "estimator",
    [
        CountVectorizer(),
        CountVectorizer(analyzer="char_wb", ngram_range=(1, 4)),
        HashingVectorizer(n_features=64),
        make_pipeline(CountVectorizer(), LogisticRegression()),
    ],
    ids=["words", "characters", "hashed", "pipeline"],
)
def test_a_long_document_is_kept_off_the_loop_whatever_is_asked_of_it(estimator: Any) -> None:
    estimator = estimator.fit(TEXT, [0, 1, 1])
    signature = infer_signature(estimator)
    limits = measured(estimator, signature)
    every = tuple(output.name for output in signature.outputs)
    for outputs in [(name,) for name in every] + [every]:
        assert not limits.allow(outputs, 1, text("word " * 20_000))
        assert not limits.allow(outputs, 2, text("word", "word " * 20_000))


def test_short_documents_may_run_on_the_loop() -> None:
    vectorizer = CountVectorizer().fit(TEXT)
    limits = measured(vectorizer, infer_signature(vectorizer))
    assert limits.allow(("transform",), 2, text("a fine day", "no day"))


def test_only_text_that_is_read_is_counted() -> None:
    limits = measured(Reading(), TABLE)
    limit = limits.limit(("predict",))
    assert limit.rows > 0
    assert limit.characters in (1024, 4096)
    assert limits.allow(("predict",), 1, cells("x" * 1_000_000, "short"))
    assert limits.allow(("predict",), 1, cells("bern", np.nan))
    assert not limits.allow(("predict",), 1, cells("bern", "x" * 5000))
    assert not limits.allow(("predict",), 2, cells("bern", "x" * 3000) * 2)
    assert limits.limit(("score_samples",)) == (256, None)
    assert limits.allow(("score_samples",), 1, cells("bern", "x" * 1_000_000))


def test_a_column_that_is_refused_hides_no_other() -> None:
    limit = measured(Particular(), TABLE).limit(("predict",))
    assert limit.characters in (1024, 4096)


def test_strings_in_an_array_are_found_among_its_numbers() -> None:
    columns = (Column("a", "BYTES"), Column("b", "FP64", nullable=True))
    limits = InlineLimits(
        {"predict": {4: 0.0}},
        {"predict": {8: 0.0}},
        text=[0],
        layout=Signature(Layout.ARRAY, columns, True, OUTPUTS).layout,
    )
    block = np.array([["four", 1.5], ["four", np.nan]], dtype=object)
    assert limits.allow(("predict",), 2, [Part(Rows((block,)))])
    assert not limits.allow(("predict",), 3, [Part(Rows((block,))), Part(Rows((block[:1],)))])


@pytest.mark.parametrize(
    ("signature", "example"),
    [
        (Signature(Layout.ARRAY, None, False, OUTPUTS), Rows((np.zeros((1, 2)),))),
        (NUMBERS, None),
        (
            Signature(Layout.FRAME, tuple(Column(str(n), "BYTES") for n in range(65)), True, OUTPUTS),
            Rows(tuple(np.array(["a"], dtype=object) for _ in range(65))),
        ),
    ],
    ids=["any width", "no example", "too many columns of text to try"],
)
def test_what_cannot_be_measured_stays_off_the_loop(signature: Signature, example: Rows | None) -> None:
    limits = measure_inline_limits(SklearnPredictor(Working(), signature), example)
    assert limits.limit(("predict",)).rows == 0
    assert not limits.allow(("predict",), 1, [])


@pytest.mark.parametrize("raised", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_model_that_does_not_like_the_example_stays_off_the_loop(raised: type[BaseException]) -> None:
    class Raising(Working):
        def seconds(self, X: Any) -> float:
            raise raised

    limits = measured(Raising(), NUMBERS)
    assert limits.limit(("predict",)).rows == 0
    assert limits.limit(("score_samples",)).rows == 256


def test_the_costs_of_several_outputs_add_up_and_few_combinations_are_remembered() -> None:
    names = [f"predict_proba_{number}" for number in range(6)]
    budget = INLINE_BUDGET_S
    limits = InlineLimits({name: {1: budget / 7, 4: budget / 5.5, 16: budget} for name in names})
    for outputs in permutations(names):
        assert limits.limit(outputs).rows == 1
    assert limits.limit(tuple(names[:5])).rows == 4
    assert limits.limit((names[0],)).rows == 16
    assert limits.limit((names[0], "unknown")).rows == 0
    assert len(limits._limits) <= 64


def test_text_takes_its_share_of_the_budget() -> None:
    half = INLINE_BUDGET_S / 2
    limits = InlineLimits(
        {"transform": {1: half, 4: 2 * half}, "predict": {4: 2 * half}},
        {"transform": {256: half, 1024: 1.1 * half}},
        text=[0],
        layout=Layout.TEXT,
    )
    assert limits.limit(("transform",)) == (1, 256)
    assert limits.limit(("predict",)) == (4, None)
