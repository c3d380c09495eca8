"""server/model_manager/inference/golden.py: a version answers what its author saw, or does not go live."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from model_manager.errors import LoadFailed, PredictionFailed
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Array, Layout, Output, Rows, Signature
from sklearn.linear_model import LogisticRegression

X = np.array([[0.0], [1.0], [10.0], [11.0]])
ROWS = Rows((X[1:3],))


class Fixed:
    """A predictor with given answers."""

    form = "fixed"

    def __init__(self, **answers: Array) -> None:
        outputs = tuple(Output(name, "FP64", (-1,)) for name in answers)
        self.signature = Signature(Layout.ARRAY, None, False, outputs)
        self.answers = answers

    def predict(self, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array]:
        return {name: self.answers[name] for name in outputs}


def failure(answers: Mapping[str, Array], **expected: Any) -> tuple[str, str]:
    with pytest.raises(LoadFailed) as caught:
        check_golden(Fixed(**answers), ROWS, expected)
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array(["a", "b"], dtype=object), ["a", "b"]),
        (np.array([1, 2]), [1, 2]),
        (np.array([True, False]), [True, False]),
        (np.array([1.0, 0.0]), [1.000009, 1e-9]),
        (np.array([1.0, 2.0]), [1, 2]),
        (np.array([np.nan, np.inf]), [None, None]),
        (np.array([np.nan, -np.inf]), [float("nan"), float("-inf")]),
        (np.array([[0.25, 0.75], [0.5, 0.5]]), [[0.25, 0.75], [0.5, 0.5]]),
        (np.zeros((2, 1, 2)), [[[0, 0]], [[0, 0]]]),
    ],
)
def test_what_agrees_passes(answer: Array, expected: list[Any]) -> None:
    check_golden(Fixed(predict=answer), ROWS, {"predict": expected})


@pytest.mark.parametrize(
    ("answer", "expected", "told"),
    [
        (np.array(["a", "b"], dtype=object), ["a", "c"], "golden row 1, output predict: expected 'c', got 'b'"),
        (np.array([1, 2]), [True, 2], "expected True, got 1"),
        (np.array([1, 2]), ["1", 2], "expected '1', got 1"),
        (np.array([1.0, 2.0]), [1.0001, 2.0], "golden row 0, output predict: expected 1.0001, got 1.0"),
        (np.array([1.0, 2.0]), [True, 2.0], "expected True, got 1.0"),
        (np.array([1.0, 2.0]), ["a", 2.0], "expected 'a', got 1.0"),
        (np.array([1.0, 2.0]), [None, 2.0], "expected None, got 1.0"),
        (np.array([np.nan, 2.0]), [1.0, 2.0], "expected 1.0, got nan"),
        (np.array([np.nan, 2.0]), ["a", 2.0], "expected 'a', got nan"),
        (np.array([np.inf, 2.0]), [float("-inf"), 2.0], "expected -inf, got inf"),
        (
            np.array([[0.2, 0.8], [0.5, 0.5]]),
            [[0.2, 0.8], [0.5, 0.6]],
            "row 1, output predict[1]: expected 0.6, got 0.5",
        ),
        (
            np.array([[0.2, 0.8], [0.5, 0.5]]),
            [[0.2, 0.8], [0.5]],
            "row 1, output predict: expected [0.5], got [0.5, 0.5]",
        ),
        (np.array([1.0, 2.0]), [3.0, 4.0], "got 1.0 (and 1 more)"),
    ],
)
def test_what_differs_is_named_by_row_and_output(answer: Array, expected: list[Any], told: str) -> None:
    reason, message = failure({"predict": answer}, predict=expected)
    assert reason == "golden_mismatch"
    assert told in message


def test_an_output_that_is_not_there_is_the_metadatas_fault() -> None:
    reason, message = failure({"predict": np.zeros(2)}, predict_proba=[[1], [1]])
    assert reason == "metadata_invalid"
    assert "no output 'predict_proba'" in message


def test_another_number_of_rows_is_the_metadatas_fault() -> None:
    reason, message = failure({"predict": np.zeros(2)}, predict=[0.0])
    assert reason == "metadata_invalid"
    assert "golden.outputs.predict: 1 values for 2 golden rows" in message


def test_an_estimator_that_raises_on_golden_rows_does_not_go_live() -> None:
    estimator = LogisticRegression().fit(X, [0, 0, 1, 1])
    predictor = SklearnPredictor(estimator, infer_signature(estimator))
    check_golden(predictor, ROWS, {"predict": [0, 1]})
    with pytest.raises(
        LoadFailed, match="cannot be predicted: predict raised ValueError: Input X contains NaN"
    ) as caught:
        check_golden(predictor, Rows((np.array([[np.nan]]),)), {"predict": [0]})
    assert caught.value.reason == "golden_mismatch"
    assert isinstance(caught.value.__cause__, PredictionFailed)
