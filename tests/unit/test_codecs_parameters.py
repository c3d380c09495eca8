"""server/model_manager/codecs/parameters.py: nothing that would change a meaning is dropped, on any way through."""

import json
from typing import Any

import pytest
from model_manager.codecs.large_tensors import SMALLEST_BODY
from model_manager.codecs.parameters import CONTENT_TYPES, HARMLESS
from model_manager.codecs.protocols import codecs_for
from model_manager.errors import InvalidInput

from tests.unit.v2_bodies import CITIES, FRAME, PAIRS, TEXT, X, body_of, codec, plain, tensor

STRINGS = (tensor("city", [1], "BYTES", ["aGk="]), tensor("land", [1], "BYTES", ["b"]))
MANY = 4 * SMALLEST_BODY // 4  # numbers: more text than the typed decoders are given


def large(**more: Any) -> bytes:
    body = body_of(tensor("x", [MANY // 2, 2], "FP64", [1.5] * MANY, **more))
    assert len(body) > SMALLEST_BODY
    return body


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (CITIES, {"inputs": [STRINGS[0] | {"parameters": {"content_type": "base32"}}, STRINGS[1]]},
         'input "city": content_type: "base32" is not served here; served: "base64", "datetime", "hg_json", "np"'),
        (CITIES, {"inputs": STRINGS, "parameters": {"content_type": "base64"}},
         'parameters: content_type: input "city": "base64" is not served here; served: "datetime", "np", "pd", "str"'),
        (CITIES, {"inputs": [STRINGS[0] | {"parameters": {"content_type": 3}}, STRINGS[1]]}, "3 is not served here"),
        (PAIRS, {"inputs": [X | {"parameters": {"content_type": "str"}}]},
         'input "x": content_type: "str" does not describe datatype FP64; leave it out'),
        (PAIRS, {"inputs": [X], "parameters": {"content_type": "str"}}, '"str" does not describe datatype FP64'),
        (PAIRS, {"inputs": [X | {"parameters": {"content_type": "pd"}}]}, '"pd" is not served here'),
        (PAIRS, {"inputs": [X | {"parameters": {"binary_data_size": 16}}]},
         'input "x": has both data and binary_data_size; send one of them'),
        (PAIRS, {"inputs": [X | {"parameters": {"shared_memory_region": "r"}}]}, '"shared_memory_region" is not'),
        (PAIRS, {"inputs": [X | {"parameters": {"columns": "b,a"}}]}, '"columns" is not known here; known: '),
        (PAIRS, {"inputs": [X], "parameters": {"binary_data_output": 1}},
         'parameters: binary_data_output: expected true or false, got 1'),
        (PAIRS, {"inputs": [X], "parameters": {"non_finite_literals": "yes"}}, "expected true or false"),
        (PAIRS, {"inputs": [X], "parameters": {"binary_data": True}}, '"binary_data" is not served here: it is asked'),
        (PAIRS, {"inputs": [X], "parameters": {"threshold": 0.9}}, 'parameters: "threshold" is not known here'),
        (PAIRS, {"inputs": [X], "parameters": {"triton_enable_empty_final_response": True}}, "is not known here"),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"classification": 1}}]},
         'output "predict": parameters: classification: its values are BYTES, which have no order'),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict_proba", "parameters": {"classification": 0}}]},
         'output "predict_proba": parameters: classification: expected how many classes are wanted, a whole number'),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"binary_data": "true"}}]},
         'output "predict": parameters: binary_data: expected true or false, got "true"'),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"binary_data_size": 8}}]},
         '"binary_data_size" is not served here: it is said of an input'),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"shared_memory_region": "r"}}]},
         'output "predict": parameters: "shared_memory_region" is not served here: shared memory'),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict", "parameters": {"content_type": "base64"}}]},
         'output "predict": content_type: "base64" is not served here'),
        (PAIRS, {"inputs": [X], "outputs": [{"name": "predict_proba", "parameters": {"content_type": "str"}}]},
         'output "predict_proba": content_type: "str" does not describe datatype FP64'),
        (PAIRS, {"inputs": [X], "model_version": "1"}, 'model_version: "1" is asked for, \'2\' was reached'),
    ],
)  # fmt: skip
def test_what_would_change_a_meaning_is_refused_by_name(
    signature: Any, body: dict[str, Any], message: str, nested: bool
) -> None:
    if nested:  # read by the reference path
        body = body | {"unheard_of": {"deep": {}}}
    with pytest.raises(InvalidInput) as refused:
        codec(signature).decode([], json.dumps(body).encode())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "parameters", [{"content_type": "base64"}, {"content_type": "str"}, {"binary_data_size": 4}, {"unheard_of": 1}]
)
def test_large_bodies_drop_nothing_either(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f'input "x": .*{next(iter(parameters))}'):
        codec(PAIRS, max_rows=MANY).decode([], large(parameters=parameters))


def test_large_bodies_may_say_what_they_are() -> None:
    rows = codec(PAIRS, max_rows=MANY).decode([], large(parameters={"content_type": "np"})).rows
    assert rows.blocks[0].tolist() == [[1.5, 1.5]] * (MANY // 2)


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_what_changes_no_answer_is_read_over(name: str) -> None:
    for value in (1, {"nested": 1}, None):
        body = body_of(X, parameters={name: value})
        assert plain(codec(PAIRS).decode([], body).rows) == [[[1.0, 2.0]]]
        body = json.dumps({"instances": [[1, 2]], "parameters": {name: value}}).encode()
        v1 = codecs_for(PAIRS, max_rows=3, model="m", version="1")["v1"]
        assert plain(v1.decode([], body).rows) == [[[1.0, 2.0]]]


@pytest.mark.parametrize(
    "body",
    [
        body_of(X | {"parameters": {"content_type": "np"}}, parameters={"content_type": "np"}),
        body_of(X, parameters={"content_type": "pd", "binary_data_output": False}, model_version="2"),
        body_of(X, outputs=[{"name": "predict", "parameters": {"content_type": "str"}}], model_version=""),
        body_of(X, outputs=[{"name": "predict_proba", "parameters": {"content_type": "np", "binary_data": False}}]),
    ],
)
def test_what_says_what_is_done_is_accepted(body: bytes) -> None:
    assert plain(codec(PAIRS).decode([], body).rows) == [[[1.0, 2.0]]]


def test_a_table_as_clients_for_pandas_write_it_is_accepted() -> None:
    body = body_of(
        tensor("age", [1, 1], "INT64", [1]),
        tensor("fare", [1, 1], "FP64", [2.5]),
        tensor("sex", [1, 1], "BYTES", ["f"], parameters={"content_type": "str"}),
        parameters={"content_type": "pd"},
    )
    assert plain(codec(FRAME).decode([], body).rows) == [[1], [2.5], ["f"]]
    body = body_of(tensor("text", [1], "BYTES", ["a"], parameters={"content_type": "str"}))
    assert plain(codec(TEXT).decode([], body).rows) == [["a"]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"content_type": "base64"}, '"content_type" is not known here'), ({"k": 1}, '"k" is not known here'),
     ({"binary_data_output": False}, "is not served here"), (3, "parameters: expected an object, got 3")],
)  # fmt: skip
def test_v1_drops_no_parameter_either(parameters: Any, message: str) -> None:
    v1 = codecs_for(PAIRS, max_rows=3, model="m", version="1")["v1"]
    with pytest.raises(InvalidInput, match=message):
        v1.decode([], json.dumps({"instances": [[1, 2]], "parameters": parameters}).encode())


def test_every_encoding_names_datatypes() -> None:
    assert all(CONTENT_TYPES.values())
