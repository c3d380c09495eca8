"""V2 answers: outputs chosen and written, ids, and what the metadata says of the tensors."""

import json
from typing import Any

import numpy as np
import pytest
from model_manager.codecs.v2_metadata import describe_inputs, describe_outputs
from model_manager.signature import Column, Layout, PredictRequest, Rows, Signature

from tests.unit.v2_bodies import ANY_WIDTH, FRAME, NAMED, OUTPUTS, PAIRS, TEXT, NoReference, X, body_of, codec


def test_all_declared_outputs_answer_unless_some_are_asked_for() -> None:
    assert codec(PAIRS).decode([], body_of(X)).outputs == ("predict", "predict_proba")
    asked = body_of(X, outputs=[{"name": "predict_proba", "parameters": {"binary_data": False}}])
    assert NoReference(PAIRS, max_rows=3, model="m", version="1").decode([], asked).outputs == ("predict_proba",)


def test_outputs_are_chosen_alike_by_the_reference() -> None:
    asked = body_of(X, outputs=[{"name": "predict_proba", "parameters": {"nested": None}}])
    assert codec(PAIRS).decode([], asked).outputs == ("predict_proba",)


def test_the_answer_names_model_and_version_and_holds_flat_tensors() -> None:
    request = PredictRequest(Rows((np.zeros((2, 2)),)), ("predict_proba", "predict"), id='a"1')
    results: dict[str, Any] = {
        "predict": np.array(["no", "yes"]),
        "predict_proba": np.array([[1.0, 0.0], [np.nan, 1.0]]),
    }
    assert json.loads(codec(PAIRS).encode(request, results)[1]) == {
        "model_name": "iris",
        "model_version": "2",
        "id": 'a"1',
        "outputs": [
            {
                "name": "predict_proba",
                "datatype": "FP64",
                "shape": [2, 2],
                "parameters": {"content_type": "np"},
                "data": [1.0, 0.0, None, 1.0],
            },
            {
                "name": "predict",
                "datatype": "BYTES",
                "shape": [2],
                "parameters": {"content_type": "str"},
                "data": ["no", "yes"],
            },
        ],
    }


@pytest.mark.parametrize(
    ("array", "datatype"),
    [
        (np.array([1], dtype=np.int32), "INT32"),
        (np.array([True]), "BOOL"),
        (np.array([1.0], dtype=np.float32), "FP32"),
        (np.array([1.0], dtype=">f8"), "FP64"),
        (np.array([1.0], dtype=np.float16), "FP32"),
        (np.array(["a"], dtype=object), "BYTES"),
    ],
)
def test_tensors_answer_in_the_datatype_of_their_array(array: Any, datatype: str) -> None:
    answer = json.loads(codec(PAIRS).encode(PredictRequest(Rows((array,)), ("predict",)), {"predict": array})[1])
    said = {"content_type": "str" if datatype == "BYTES" else "np"}
    assert answer["outputs"] == [
        {"name": "predict", "datatype": datatype, "shape": [1], "parameters": said, "data": array.tolist()}
    ]


def test_an_id_goes_out_as_it_came_in() -> None:
    assert codec(PAIRS).decode([], body_of(X, id="7")).id == "7"
    assert codec(PAIRS).decode([], body_of(X, id="")).id == ""
    assert codec(PAIRS).decode([], body_of(X)).id is None


def test_an_answer_to_a_request_without_an_id_has_one_of_its_own() -> None:
    request, results = PredictRequest(Rows((np.zeros((1, 2)),)), ("predict",)), {"predict": np.array([1.0])}
    ids = {json.loads(codec(PAIRS).encode(request, results)[1])["id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("signature", "described"),
    [
        (PAIRS, [{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]),
        (ANY_WIDTH, [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}]),
        (TEXT, [{"name": "text", "datatype": "BYTES", "shape": [-1]}]),
        (
            NAMED,
            [
                {
                    "name": "input",
                    "datatype": "FP64",
                    "shape": [-1, 2],
                    "parameters": {"columns": ["w", "h"], "nullable": [True, False]},
                }
            ],
        ),
        (
            FRAME,
            [
                {"name": "age", "datatype": "INT64", "shape": [-1]},
                {"name": "fare", "datatype": "FP64", "shape": [-1], "parameters": {"nullable": True}},
                {"name": "sex", "datatype": "BYTES", "shape": [-1], "parameters": {"categories_not_shown": 2}},
            ],
        ),
        (
            Signature(Layout.ARRAY, (Column("0", "BYTES", categories=("a",)),), False, OUTPUTS),
            [{"name": "input", "datatype": "BYTES", "shape": [-1, 1], "parameters": {"categories_not_shown": [1]}}],
        ),
    ],
)
def test_inputs_are_described_as_they_are_to_be_sent(signature: Signature, described: list[dict[str, Any]]) -> None:
    assert describe_inputs(signature) == described


def test_public_categories_are_listed_and_the_others_counted() -> None:
    sex = describe_inputs(FRAME, {"sex": ["m", "f", "unheard of"], "unheard of": ["x"]})[2]
    assert sex["parameters"] == {"categories": ["f", "m"]}
    sex = describe_inputs(FRAME, {"sex": ["m"]})[2]
    assert sex["parameters"] == {"categories": ["m"], "categories_not_shown": 1}
    codes = tuple(f"code {number}" for number in range(150))
    columns = (Column("0", "BYTES", categories=codes), Column("1", "BYTES", categories=("a",)))
    (both,) = describe_inputs(Signature(Layout.ARRAY, columns, False, OUTPUTS), {"0": codes})
    assert both["parameters"] == {"categories": [list(codes[:100]), []], "categories_not_shown": [50, 1]}


def test_outputs_are_described_with_their_classes() -> None:
    assert describe_outputs(PAIRS) == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1], "parameters": {"classes": ["no", "yes"]}},
        {"name": "predict_proba", "datatype": "FP64", "shape": [-1, 2]},
    ]
