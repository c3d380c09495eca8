"""What moved an answer, as a page draws it."""

import json

from hypothesis import given
from hypothesis import strategies as st
from model_manager.console.reasons import plain, reasons_of, signed
from model_manager.serving.attempt import Attempt

TOLD = {
    "explanations": [
        {
            "class": "yes",
            "base": 0.25,
            "contributions": [
                {"column": "contract", "value": "monthly", "contribution": 0.4},
                {"column": "tenure", "value": None, "contribution": -0.2},
                {"column": "unused", "value": True, "contribution": 0.0},
            ],
            "others": 0.05,
            "answer": 0.5,
            "text": ["contract = monthly raised the chance of yes by 0.4"],
        }
    ],
    "explained": {"output": "predict_proba", "unit": "probability", "method": "trees"},
}


def test_bars_start_in_the_middle_and_the_longest_reaches_the_edge() -> None:
    told = reasons_of(Attempt(200, "{}", json.dumps(TOLD)))
    assert told is not None
    assert told.what == "chance of yes"
    assert [(bar.column, bar.value) for bar in told.bars] == [
        ("contract", "monthly"),
        ("tenure", "missing"),
        ("all other columns", ""),
    ]
    assert [(bar.left, bar.left + bar.width) for bar in told.bars] == [(100, 200), (50, 100), (100, 112.5)]


def test_a_model_whose_answer_nothing_moved_is_explained_by_its_base() -> None:
    told = reasons_of(Attempt(200, "{}", json.dumps({
        "explanations": [{"base": 2.0, "contributions": [], "answer": 2.0, "text": []}],
        "explained": {"output": "predict", "unit": "value", "method": "linear"},
    })))  # fmt: skip
    assert told is not None
    assert (told.what, told.bars, told.sentence) == ("answer", [], "")


@given(st.floats(1e-5, 1e12), st.sampled_from([-1, 1]))
def test_three_digits_and_the_sign_are_told(size: float, sign: int) -> None:
    text = signed(sign * size)
    assert text[0] == ("+" if sign > 0 else "-")
    assert abs(float(text.replace(",", "")) - sign * size) <= 0.005 * size


def test_what_rounding_leaves_is_nothing() -> None:
    assert (plain(-8.3e-13), signed(-8.3e-13), plain(0.0), plain(12345.6)) == ("0", "+0", "0", "12,346")
