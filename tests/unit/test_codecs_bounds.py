"""server/model_manager/codecs/bounds.py: a body that no request can need is refused before it is read."""

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.codecs.bounds import SMALLEST_COUNTED, Bounds, may_say_priority
from model_manager.codecs.protocols import codecs_for
from model_manager.errors import InvalidInput
from model_manager.signature import Signature

from tests.unit.v2_bodies import CITIES, FRAME, PAIRS, TEXT, tensor

ROWS = 10_000


def decode(signature: Signature, protocol: str, body: bytes) -> Any:
    return codecs_for(signature, max_rows=ROWS, model="m", version="1")[protocol].decode([], body)


def many_tensors(count: int) -> bytes:
    one = json.dumps(tensor("x", [1, 1], "FP64", [1.0]))
    return b'{"inputs":[%b]}' % ",".join([one] * count).encode()


HOSTILE = {
    "tensors": ("v2", many_tensors(50_000)),
    "unknown keys": ("v1", b"{%b}" % b",".join(b'"k%d":1' % number for number in range(100_000))),
    "unknown keys with spaces": ("v1", b"{%b}" % b",".join(b'"k%d" : 1' % number for number in range(100_000))),
    "keys of a row": ("v1", b'{"instances":[{%b}]}' % b",".join(b'"k%d":1' % number for number in range(100_000))),
    "values of a row": ("v1", b'{"instances":[[%b]]}' % b",".join([b"0"] * 1_000_000)),
    "values of a tensor": (
        "v2",
        json.dumps({"inputs": [tensor("x", [1, 1_000_000], "FP64", [0] * 1_000_000)]}).encode(),
    ),
    "empty rows": ("v1", b'{"instances":[%b]}' % b",".join([b"[]"] * 300_000)),
}


@pytest.mark.parametrize("signature", [PAIRS, CITIES], ids=["array", "strings"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_no_request_can_need_costs_next_to_nothing(signature: Signature, kind: str) -> None:
    protocol, body = HOSTILE[kind]
    began = process_time()
    json.loads(body)
    decoding = process_time()
    parsing = decoding - began
    with pytest.raises(InvalidInput, match=r"more (values|keys) than 10000 rows of \d column"):
        decode(signature, protocol, body)
    assert process_time() - decoding < parsing + 0.1


def test_no_more_tensors_are_read_than_tell_what_is_wrong() -> None:
    with pytest.raises(InvalidInput, match="inputs: expected 2 tensors at most, got 200"):
        decode(PAIRS, "v2", many_tensors(200))
    with pytest.raises(InvalidInput, match=r"inputs: .* is given more than once"):
        decode(FRAME, "v2", many_tensors(10))


@pytest.mark.parametrize("signature", [PAIRS, FRAME, CITIES, TEXT], ids=["array", "frame", "strings", "text"])
def test_nesting_is_refused_by_name(signature: Signature) -> None:
    for deep in (b"[" * 100_000, b'{"instances":' + b"[" * 20_000, b'{"inputs":' + b'{"x":' * 20_000):
        for protocol in ("v1", "v2"):
            with pytest.raises(InvalidInput, match=r"nested too deeply|more keys"):
                decode(signature, protocol, deep)


def test_commas_colons_quotes_and_backslashes_in_strings_are_no_values() -> None:
    text = '",:[{\\' * 40_000
    (block,) = decode(TEXT, "v1", json.dumps({"instances": [text, text]}).encode()).rows.blocks
    assert block.tolist() == [text, text]
    cities = decode(CITIES, "v1", json.dumps({"instances": [[text, "a"]] * 3}).encode())
    assert cities.rows.blocks[0].tolist() == [text] * 3 or cities.rows.blocks[0][0].tolist() == [text, "a"]


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_as_many_rows_as_are_taken_pass(protocol: str) -> None:
    values = [[1.5, 2.5]] * ROWS
    body = {"instances": values} if protocol == "v1" else {"inputs": [tensor("x", [ROWS, 2], "FP64", values)]}
    assert len(decode(PAIRS, protocol, json.dumps(body, indent=1).encode()).rows) == ROWS
    names = [column.name for column in PAIRS.columns or ()]
    if PAIRS.named and protocol == "v1":
        rows = [dict(zip(names, row, strict=True)) for row in values]
        assert len(decode(PAIRS, "v1", json.dumps({"instances": rows}).encode()).rows) == ROWS


def test_one_row_too_many_is_still_told_by_its_number() -> None:
    with pytest.raises(InvalidInput, match="10001 rows are more than the 10000"):
        decode(PAIRS, "v1", json.dumps({"instances": [[1.5, 2.5]] * (ROWS + 1)}).encode())


def test_a_model_that_takes_any_width_is_sent_any(anything: Signature) -> None:
    body = json.dumps({"instances": [[0.5] * 100_000]}).encode()
    assert len(body) > SMALLEST_COUNTED
    assert decode(anything, "v1", body).rows.blocks[0].shape == (1, 100_000)
    with pytest.raises(InvalidInput, match="more keys than 10000 rows need"):
        Bounds(anything, max_rows=ROWS).check(HOSTILE["unknown keys"][1])


@pytest.fixture
def anything() -> Signature:
    return Signature(PAIRS.layout, None, False, PAIRS.outputs)


@given(
    before=st.sampled_from([b"", b'{"id": "a", ', b'{"prior', b'{"pri', b'"' * 300, b'"' * 300 + b'"priority"']),
    size=st.sampled_from([0, 100, SMALLEST_COUNTED, 2 * SMALLEST_COUNTED]),
    after=st.sampled_from([b"", b'"', b'"pri', b'"prio', b', "priority": 1}', b", 'priority': 1}"]),
)
def test_a_priority_is_found_wherever_it_is(before: bytes, size: int, after: bytes) -> None:
    body = before + b"1" * size + after
    assert may_say_priority(body) == (b'"prio' in body)
