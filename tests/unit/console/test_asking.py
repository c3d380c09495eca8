"""The form of the console: every layout of a model gets one, and what is filled in is what the model is asked."""

import json
from typing import Any

import pytest
from model_manager.console.asking import MOST_FIELDS, body_of, fields_of
from model_manager.serving.profile import Profile

OUTPUTS = [{"name": "predict"}, {"name": "predict_proba"}, {"name": "decision_function"}]


def profile(inputs: list[dict[str, Any]], example: Any, outputs: list[dict[str, Any]] = OUTPUTS) -> Profile:
    return Profile("m", "1", inputs, outputs, {}, example, {})


ARRAY = profile([{"name": "input", "datatype": "FP64", "shape": [-1, 2]}], [1.5, 2])
NAMED = profile(
    [
        {
            "name": "input",
            "datatype": "FP64",
            "shape": [-1, 2],
            "parameters": {"columns": ["a", "b"], "nullable": [False, True]},
        }
    ],
    {"a": 1.5, "b": 2},
)
FRAME = profile(
    [
        {"name": "zip", "datatype": "BYTES", "shape": [-1]},
        {
            "name": "plan",
            "datatype": "BYTES",
            "shape": [-1],
            "parameters": {"categories": ["s", "m"], "nullable": True},
        },
        {"name": "paid", "datatype": "BOOL", "shape": [-1]},
        {"name": "age", "datatype": "INT64", "shape": [-1], "parameters": {"nullable": True}},
    ],
    {"zip": "text", "plan": "s", "paid": True, "age": 40},
)
TEXT = profile([{"name": "input", "datatype": "BYTES", "shape": [-1]}], "some text")
WIDE = profile([{"name": "input", "datatype": "FP64", "shape": [-1, MOST_FIELDS + 1]}], [0.0] * (MOST_FIELDS + 1))
UNKNOWN_WIDTH = profile([{"name": "input", "datatype": "FP64", "shape": [-1, -1]}], [1, 1])


def asked(of: Profile, *values: str, **others: str) -> Any:
    filled = {field.key: value for field, value in zip(fields_of(of), values, strict=True)}
    (row,) = json.loads(body_of(of, {**filled, **others}))["instances"]
    return row


@pytest.mark.parametrize("of", [ARRAY, NAMED, FRAME, TEXT])
def test_form_begins_with_the_example(of: Profile) -> None:
    """Sent as it stands, the form asks for the row that the version shows as its example."""
    assert asked(of, *[field.value for field in fields_of(of)]) == of.example


def test_what_is_filled_in_becomes_values_of_the_columns_types() -> None:
    """Text stays text, a zip code too; an empty field is a missing value where one may be, else nothing is made up."""
    assert asked(FRAME, "01234", "", "false", "") == {"zip": "01234", "plan": None, "paid": False, "age": None}
    assert asked(FRAME, "", "m", "", "41") == {"zip": "", "plan": "m", "paid": None, "age": 41}
    assert asked(NAMED, "-3", "1e3") == {"a": -3, "b": 1000.0}


def test_what_is_no_number_is_sent_as_it_is() -> None:
    """The decoder says what is wrong with it, by its column."""
    assert asked(ARRAY, "wide", "2") == ["wide", 2]


def test_choices_are_those_that_anybody_may_see() -> None:
    assert [[*field.choices] for field in fields_of(FRAME)] == [[], ["s", "m"], [], []]


@pytest.mark.parametrize("of", [WIDE, UNKNOWN_WIDTH])
def test_wide_rows_are_filled_in_as_json(of: Profile) -> None:
    assert fields_of(of) == []
    assert asked(of, row="[1, 2.5, null]") == [1, 2.5, None]
    assert asked(of, row="[1, 2") == "[1, 2"


def test_outputs_that_people_read_are_asked_for() -> None:
    assert json.loads(body_of(TEXT, {}))["outputs"] == ["predict", "predict_proba"]
    only = profile(TEXT.inputs, "x", [{"name": "transform"}])
    assert "outputs" not in json.loads(body_of(only, {}))
