"""Messages over gRPC are read and answered as V2's JSON is, and what is refused says where."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.codecs.protobuf import INFERENCE, ProtobufCodec, address_of, priority_of
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Array, Column, Datatype, Layout, Output, PredictRequest, Signature

Request, Response = INFERENCE.messages["ModelInferRequest"], INFERENCE.messages["ModelInferResponse"]
TYPED: dict[str, tuple[Datatype, ...]] = {
    "bool_contents": ("BOOL",),
    "int_contents": ("INT8", "INT16", "INT32"),
    "int64_contents": ("INT64",),
    "uint_contents": ("UINT8", "UINT16", "UINT32"),
    "uint64_contents": ("UINT64",),
    "fp32_contents": ("FP32",),
    "fp64_contents": ("FP64",),
}
FIELD = {datatype: field for field, datatypes in TYPED.items() for datatype in datatypes}
NUMBERS: tuple[Datatype, ...] = tuple(FIELD)
OUTPUTS = (Output("predict", "BYTES", (-1,)), Output("predict_proba", "FP64", (-1, 2)))


def array_of(datatype: Datatype, width: int = 2, *, nullable: bool = False) -> Signature:
    columns = tuple(Column(str(place), datatype, nullable=nullable) for place in range(width))
    return Signature(Layout.ARRAY, columns, named=False, outputs=OUTPUTS)


FRAME = Signature(
    Layout.FRAME,
    (Column("age", "FP64", nullable=True), Column("city", "BYTES"), Column("count", "INT64")),
    named=True,
    outputs=OUTPUTS,
)


def codec(signature: Signature) -> ProtobufCodec:
    return ProtobufCodec(signature, max_rows=10, model="m", version="1")


def message(*inputs: tuple[str, str, list[int]], raw: list[bytes] | None = None, **fields: Any) -> Any:
    request = Request(model_name="m", **fields)
    for name, datatype, shape in inputs:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
    request.raw_input_contents.extend(raw or [])
    return request


def read(signature: Signature, request: Any) -> PredictRequest:
    return codec(signature).decode([], request.SerializeToString())


def by_json(signature: Signature, datatype: str, values: Array) -> PredictRequest | None:
    """What V2's JSON makes of the same values; None where it refuses them."""
    data = values.reshape(-1).tolist()
    body = {"inputs": [{"name": "x", "shape": list(values.shape), "datatype": datatype, "data": data}]}
    try:
        return V2Codec(signature, max_rows=10, model="m", version="1").decode([], json.dumps(body).encode())
    except InvalidInput:
        return None


def elements(datatype: Datatype) -> st.SearchStrategy[Any]:
    dtype = DTYPES[datatype]
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        return st.floats(width=32 if datatype == "FP32" else 64, allow_nan=False, allow_infinity=False)
    return st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) | st.integers(0, 100)


@given(data=st.data(), carrier=st.sampled_from(NUMBERS), own=st.sampled_from(NUMBERS), nullable=st.booleans())
def test_numbers_are_read_as_json_is_raw_or_typed(
    data: st.DataObject, carrier: Datatype, own: Datatype, nullable: bool
) -> None:
    signature = array_of(own, nullable=nullable)
    flat = data.draw(st.lists(elements(carrier), min_size=4, max_size=4))
    values = np.array(flat, DTYPES[carrier]).reshape(2, 2)
    raw = message(("x", carrier, [2, 2]), raw=[values.tobytes()])
    typed = message(("x", carrier, [2, 2]))
    getattr(typed.inputs[0].contents, FIELD[carrier]).extend(flat)
    expected = by_json(signature, carrier, values)
    for request in (raw, typed):
        if expected is None:
            with pytest.raises(InvalidInput):
                read(signature, request)
            continue
        (block,), (wanted,) = read(signature, request).rows.blocks, expected.rows.blocks
        assert block.dtype == wanted.dtype
        assert block.flags.writeable
        np.testing.assert_array_equal(block, wanted)


def test_a_row_of_halves_is_read_exactly() -> None:
    halves = np.array([[0.5, 65504.0]], np.float16)
    (block,) = read(array_of("FP64"), message(("x", "FP16", [1, 2]), raw=[halves.tobytes()])).rows.blocks
    np.testing.assert_array_equal(block, [[0.5, 65504.0]])


def test_a_size_that_is_said_of_raw_contents_changes_nothing() -> None:
    request = message(("x", "FP64", [1, 2]), raw=[ONE])
    request.inputs[0].parameters["binary_data_size"].int64_param = 16
    assert read(array_of("FP64"), request).rows.blocks[0].tolist() == [[1.0, 2.0]]


def test_columns_of_a_table_come_in_any_order() -> None:
    text = "Málaga".encode()
    request = message(
        ("city", "BYTES", [1, 1]),
        ("count", "INT64", [1]),
        ("age", "FP32", [1]),
        raw=[struct.pack("<I", len(text)) + text, struct.pack("<q", 7), struct.pack("<f", np.nan)],
    )
    age, city, count = read(FRAME, request).rows.blocks
    assert np.isnan(age[0])
    assert (city.tolist(), count.tolist(), str(age.dtype)) == (["Málaga"], [7], "float64")
    typed = message(("city", "BYTES", [1]), ("count", "INT64", [1]), ("age", "FP64", [1]))
    typed.inputs[0].contents.bytes_contents.append(text)
    typed.inputs[1].contents.int64_contents.append(7)
    typed.inputs[2].contents.fp64_contents.append(4.5)
    assert [block.tolist() for block in read(FRAME, typed).rows.blocks] == [[4.5], ["Málaga"], [7]]


def test_numbers_of_a_table_need_no_detour() -> None:
    columns = (Column("a", "FP64"), Column("b", "INT64"))
    table = Signature(Layout.FRAME, columns, named=True, outputs=OUTPUTS)
    raw = [struct.pack("<2q", 1, 2), struct.pack("<2d", 0.5, 1.5)]
    a, b = read(table, message(("b", "INT64", [2]), ("a", "FP64", [2, 1]), raw=raw)).rows.blocks
    assert (a.tolist(), b.tolist()) == ([0.5, 1.5], [1, 2])
    both = Signature(Layout.FRAME, (Column("a", "FP64"), Column("b", "FP64")), named=True, outputs=OUTPUTS)
    a, b = read(both, message(("x", "FP64", [1, 2]), raw=[struct.pack("<2d", 0.5, 1.5)])).rows.blocks
    assert (a.tolist(), b.tolist()) == ([0.5], [1.5])


ONE = struct.pack("<2d", 1.0, 2.0)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (message(("x", "FP64", [1, 2]), raw=[ONE, ONE]), "expected one for each input, 1, got 2"),
        (message(("x", "FP64", [1, 2]), raw=[ONE[:-1]]), "shape [1, 2] of FP64 needs 16 bytes, got 15"),
        (message(("x", "FP64", [2**31, 2**31]), raw=[ONE]), "are more than the 10"),
        (message(("x", "FP64", [-1, 2]), raw=[ONE]), '"x": expected a shape of whole numbers from 0, got -1'),
        (message(("x", "FP64", [1, 3]), raw=[ONE + ONE[:8]]), "expected shape [rows, 2], got [1, 3]"),
        (message(("x", "FP64", [1, 2])), "shape [1, 2] needs 2 values, fp64_contents has 0"),
        (message(("x", "FP16", [1, 2])), "FP16 has no typed contents; send raw_input_contents"),
        (message(("x", "COMPLEX", [1, 2]), raw=[ONE]), 'unknown datatype "COMPLEX"'),
        (message(("x", "BF16", [1, 2]), raw=[bytes(4)]), 'unknown datatype "BF16"'),
        (message(("x", "BYTES", [1, 2]), raw=[b"\x01\x00\x00\x00a"]), "each behind four bytes of length; 5 bytes are"),
        (message(("x", "BYTES", [1, 2]), raw=[b"\x09\x00\x00\x00a"]), "each behind four bytes of length; 5 bytes are"),
        (message(("x", "BYTES", [1, 2]), raw=[b"\x09\0\0\0abcd"]), "value 0: the bytes end within it, at byte 8 of 13"),
        (message(("x", "BYTES", [1, 2]), raw=[bytes(9)]), "1 bytes are left behind the last of 2 strings"),
        (message(("x", "BYTES", [1, 2]), raw=[b"\x01\0\0\0\xff" + bytes(4)]), "value 0: expected UTF-8"),
        (message(("x", "BOOL", [1, 2]), raw=[b"\1\2"]), "value 1: expected 0 or 1 for a BOOL, got 2"),
        (message(("x", "FP64", [1, 2]), raw=[struct.pack("<2d", 1, np.nan)]), "row 0, column 1: expected a number"),
        (message(("x", "FP64", [1, 2]), raw=[struct.pack("<2d", np.inf, 1)]), "row 0, column 0"),
        (message(), "expected at least one tensor"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where(request_: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(array_of("FP64"), request_)
    assert said in str(refused.value)


def test_a_missing_number_is_nan_where_a_column_may_lack_one() -> None:
    values = np.array([[1.0, np.nan]])
    raw = message(("x", "FP64", [1, 2]), raw=[values.tobytes()])
    typed = message(("x", "FP64", [1, 2]))
    typed.inputs[0].contents.fp64_contents.extend(values[0])
    for request in (raw, typed):
        np.testing.assert_array_equal(read(array_of("FP64", nullable=True), request).rows.blocks[0], values)


def test_contents_of_another_datatype_or_beside_raw_ones_are_refused() -> None:
    wrong = message(("x", "FP64", [1, 2]))
    wrong.inputs[0].contents.fp32_contents.extend([1, 2])
    both = message(("x", "FP64", [1, 2]), raw=[ONE])
    both.inputs[0].contents.fp64_contents.extend([1, 2])
    for request, said in ((wrong, "is carried by fp64_contents, got fp32_contents"), (both, "send one of them")):
        with pytest.raises(InvalidInput, match=said):
            read(array_of("FP64"), request)


def test_parameters_mean_what_they_mean_in_json() -> None:
    request = message(("x", "FP64", [1, 2]), raw=[ONE])
    request.parameters["timeout"].int64_param = 250_000
    request.parameters["priority"].uint64_param = 1
    request.inputs[0].parameters["content_type"].string_param = "np"
    decoded = read(array_of("FP64"), request)
    assert (decoded.timeout_s, decoded.priority) == (0.25, 0)
    assert priority_of(request.SerializeToString()) == 0
    request.parameters["priority"].string_param = "soon"
    assert priority_of(request.SerializeToString()) is None
    with pytest.raises(InvalidInput, match="priority"):
        read(array_of("FP64"), request)
    del request.parameters["priority"]
    request.inputs[0].parameters["content_type"].string_param = "base64"
    with pytest.raises(InvalidInput, match="base64"):
        read(array_of("FP64"), request)
    request.inputs[0].ClearField("parameters")
    request.outputs.add(name="predict").parameters["shared_memory_region"].string_param = "here"
    with pytest.raises(InvalidInput, match='output "predict"'):
        read(array_of("FP64"), request)


@given(name=st.text(max_size=300), version=st.text(max_size=10), id=st.text(max_size=5))
def test_the_address_is_what_the_message_says(name: str, version: str, id: str) -> None:
    request = Request(model_name=name, model_version=version, id=id)
    assert address_of(request.SerializeToString()) == (name, version or None)


def test_an_address_that_is_written_late_or_twice_leads_nowhere_else() -> None:
    usual = message(("x", "FP64", [1, 2]), raw=[ONE], id="7")
    late = Request(id="7").SerializeToString() + usual.SerializeToString()
    assert address_of(late) == ("m", None)
    assert codec(array_of("FP64")).decode([], late).id == "7"
    twice = usual.SerializeToString() + Request(model_name="secret").SerializeToString()
    with pytest.raises(InvalidInput, match=r"\"secret\" is asked for, and \"m\" was reached; write each once"):
        codec(array_of("FP64")).decode([], twice)


@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for whole in (body, message(("x", "FP64", [1, 2]), raw=[ONE]).SerializeToString() + body):
        try:
            address_of(whole)
            priority_of(whole)
            codec(array_of("FP64")).decode([], whole)
        except InvalidInput:
            pass


def assert_same_outcome(used: ProtobufCodec, new: ProtobufCodec, body: bytes) -> None:
    """What a codec makes of a message does not depend on those that it has seen before."""
    outcomes: list[Any] = []
    for one in (used, new):
        try:
            outcomes.append(one.decode([], body))
        except InvalidInput as error:
            outcomes.append(str(error))
    first, second = outcomes
    if not (isinstance(first, PredictRequest) and isinstance(second, PredictRequest)):
        assert first == second
        return
    assert all(block.flags.writeable for block in first.rows.blocks)
    np.testing.assert_array_equal(first.rows.blocks, second.rows.blocks)
    assert [block.dtype for block in first.rows.blocks] == [block.dtype for block in second.rows.blocks]
    for name in ("outputs", "id", "timeout_s", "priority", "raw"):
        assert getattr(first, name) == getattr(second, name)


PAIR = Signature(Layout.FRAME, (Column("a", "FP64"), Column("b", "INT64")), named=True, outputs=OUTPUTS)


@given(
    numbers=st.lists(st.floats(width=32), min_size=2, max_size=2),
    counts=st.lists(st.integers(-5, 5), min_size=2, max_size=2),
    ids=st.tuples(*[st.text(max_size=3)] * 2),
    version=st.sampled_from(["", "1"]),
    urgent=st.booleans(),
)
def test_messages_that_repeat_another_are_read_as_if_they_were_the_first(
    numbers: list[float], counts: list[int], ids: tuple[str, str], version: str, urgent: bool
) -> None:
    first, second = (
        message(
            ("b", "INT64", [1]), ("a", "FP32", [1, 1]),
            raw=[struct.pack("<q", count), struct.pack("<f", number)], id=id, model_version=version,
        )
        for number, count, id in zip(numbers, counts, ids, strict=True)
    )  # fmt: skip
    for request in (first, second):
        request.outputs.add(name="predict_proba")
        if urgent:
            request.parameters["priority"].int64_param = 1
    used = codec(PAIR)
    for request in (first, second, first):
        assert_same_outcome(used, codec(PAIR), request.SerializeToString())


@given(place=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_repeated_message_with_one_other_byte_is_read_as_what_it_is(place: int, byte: int) -> None:
    raw = [struct.pack("<2q", 3, 4), struct.pack("<2d", 1.0, 2.0)]
    request = message(("b", "INT64", [2]), ("a", "FP64", [2]), raw=raw, id="é", model_version="1")
    request.outputs.add(name="predict")
    usual = request.SerializeToString()
    changed = bytearray(usual)
    changed[place % len(usual)] = byte
    used = codec(PAIR)
    used.decode([], usual)
    assert list(used._repeats) == [len(usual)]
    assert_same_outcome(used, codec(PAIR), bytes(changed))


def test_what_could_mislead_those_that_repeat_it_is_not_kept() -> None:
    usual = message(("x", "FP64", [1, 2]), raw=[ONE], id="7").SerializeToString()
    head, raw = usual[: -len(ONE) - 2], usual[-len(ONE) - 2 :]
    twice = head + Request(id="7").SerializeToString() + raw  # the id that counts is not where it is looked for
    late = raw + head
    long = message(("x" * 9000, "FP64", [1, 2]), raw=[ONE]).SerializeToString()
    texts = message(("x", "BYTES", [1, 2]), raw=[b"\1\0\0\0001" * 2]).SerializeToString()
    hidden = usual + b"\x7a\x12" + raw  # a field that nobody knows ends with what looks like the contents
    for body in (twice, late, long, hidden):
        used = codec(array_of("FP64"))
        assert used.decode([], body).rows.blocks[0].tolist() == [[1.0, 2.0]]
        assert not used._repeats
    with pytest.raises(InvalidInput):
        codec(array_of("FP64")).decode([], texts)


def test_no_more_messages_are_kept_than_are_of_use() -> None:
    used = codec(array_of("FP64"))
    for length in range(1, 101):
        used.decode([], message(("x" * length, "FP64", [1, 2]), raw=[ONE]).SerializeToString())
    newest = message(("x" * 100, "FP64", [1, 2]), raw=[ONE]).SerializeToString()
    assert len(used._repeats) == 64
    assert len(newest) in used._repeats


def answer(results: dict[str, Array], *, raw: bool, signature: Signature | None = None, id: str | None = None) -> Any:
    signature = signature or array_of("FP64")
    rows = read(signature, message(("x", "FP64", [1, 2]), raw=[ONE])).rows
    request = PredictRequest(rows, tuple(results), id, raw=raw)
    headers, body = codec(signature).encode(request, results)
    assert list(headers) == []
    return Response.FromString(body)


@pytest.mark.parametrize("datatype", [one for one in DTYPES if one != "BYTES"])
def test_answers_carry_every_datatype(datatype: Datatype) -> None:
    values = np.array([[1, 0], [1, 1]], DTYPES[datatype])
    raw = answer({"predict": values}, raw=True, id="ä")
    assert (raw.model_name, raw.model_version, raw.id) == ("m", "1", "ä")
    assert (raw.outputs[0].datatype, list(raw.outputs[0].shape)) == (datatype, [2, 2])
    assert raw.raw_output_contents[0] == values.tobytes()
    typed = answer({"predict": values}, raw=False)
    carried = "FP32" if datatype == "FP16" else datatype
    assert typed.outputs[0].datatype == carried
    assert list(getattr(typed.outputs[0].contents, FIELD[carried])) == [1, 0, 1, 1]
    assert (typed.id, len(typed.raw_output_contents)) == ("", 0)


def test_answers_carry_texts_and_say_so() -> None:
    values = np.array(["ä" * 200, "", 3, None], object)
    raw, typed = (answer({"predict": values, "p": np.ones(4)}, raw=way) for way in (True, False))
    texts = ["ä" * 200, "", "3", ""]
    assert [one.decode() for one in typed.outputs[0].contents.bytes_contents] == texts
    encoded = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    assert list(raw.raw_output_contents) == [encoded, np.ones(4).tobytes()]
    for said in (raw, typed):
        kinds = [output.parameters["content_type"].string_param for output in said.outputs]
        assert kinds == ["str", "np"]


def test_descriptions_of_outputs_are_kept_within_bounds() -> None:
    one = codec(array_of("FP64"))
    rows = read(array_of("FP64"), message(("x", "FP64", [1, 2]), raw=[ONE])).rows
    for number in range(1, 1100):
        request = PredictRequest(rows, ("p",), raw=True)
        said = Response.FromString(one.encode(request, {"p": np.zeros(number)})[1])
        assert list(said.outputs[0].shape) == [number]
    assert len(one._known) <= 1024
