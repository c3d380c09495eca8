"""Records as CloudEvents: every value as the server's answers have it, and none that was redacted."""

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import StartRefused
from model_manager.records.event_format import EventFormat, Record, parse_redacted
from model_manager.signature import Array, Column, Layout, Output, Rows, Signature

AGE, REGION = Column("age", "FP64"), Column("region", "BYTES", nullable=True)
OUTPUTS = (Output("predict", "BYTES", (-1,)), Output("predict_proba", "FP64", (-1, 2)))
FRAME = Signature(Layout.FRAME, (AGE, REGION), True, OUTPUTS)
NUMBERS = Signature(Layout.ARRAY, (Column("0", "FP64"), Column("1", "FP64")), False, OUTPUTS, "input")
WIDTH_UNKNOWN = Signature(Layout.ARRAY, None, False, OUTPUTS, "input")
TEXT = Signature(Layout.TEXT, (Column("0", "BYTES"),), False, OUTPUTS, "input")

TABLE = Rows((np.array([23.0, math.nan]), np.array(["north", math.nan], dtype=object)))
ANSWERS = {"predict": np.array(["yes", "no"], dtype=object), "predict_proba": np.array([[0.25, 0.75], [1.0, 0.0]])}

SCALARS = st.one_of(
    st.floats(), st.text(st.characters(exclude_categories=["Cs"])), st.none(), st.booleans(), st.integers()
)


def record(signature: Signature, rows: Rows, outputs: Mapping[str, Array] | None = None, **other: Any) -> Record:
    said: dict[str, Any] = {
        "request_id": "r-1",
        "model": "churn",
        "version": "2",
        "status": 200,
        "trace_id": None,
    } | other
    return Record(signature=signature, rows=rows, outputs=outputs, duration_s=0.0012344, ended_at=0.25, size=0, **said)


def encode(written: Record, *redact: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(EventFormat(frozenset(redact)).encode(written))
    return event


def as_answered(value: object) -> object:
    """What JSON makes of a value: there is neither NaN nor infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def test_a_record_is_a_cloudevent_with_columns_by_name() -> None:
    event = encode(record(FRAME, TABLE, ANSWERS, trace_id="4bf92f3577b34da6a3ce929d0e0e4736"))
    assert event.pop("source").startswith("/model-manager/")
    assert event.pop("id")
    assert event == {
        "specversion": "1.0",
        "type": "model-manager.prediction.v1",
        "time": "1970-01-01T00:00:00.250000Z",
        "subject": "churn/2",
        "datacontenttype": "application/json",
        "data": {
            "request_id": "r-1",
            "model": "churn",
            "version": "2",
            "status": 200,
            "duration_ms": 1.234,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "inputs": {"age": [23.0, None], "region": ["north", None]},
            "outputs": {"predict": ["yes", "no"], "predict_proba": [[0.25, 0.75], [1.0, 0.0]]},
            "redacted": [],
        },
    }


def test_ids_differ_though_request_ids_repeat() -> None:
    one, other = EventFormat(frozenset()), EventFormat(frozenset())
    written = record(FRAME, TABLE)
    ids = {json.loads(format.encode(written))["id"] for format in (one, one, other, other)}
    assert len(ids) == 4


def test_columns_without_names_are_called_by_position() -> None:
    rows = Rows((np.array([[1.0, 2.0], [3.0, 4.0]]),))
    assert encode(record(NUMBERS, rows))["data"]["inputs"] == {"0": [1.0, 3.0], "1": [2.0, 4.0]}
    assert encode(record(WIDTH_UNKNOWN, rows))["data"]["inputs"] == {"0": [1.0, 3.0], "1": [2.0, 4.0]}
    texts = Rows((np.array(["good", "bad"], dtype=object),))
    assert encode(record(TEXT, texts))["data"]["inputs"] == {"0": ["good", "bad"]}


def test_a_request_that_got_no_answer_has_no_outputs() -> None:
    event = encode(record(FRAME, TABLE, status=504), "predict")
    assert (event["data"]["outputs"], event["data"]["status"], event["data"]["redacted"]) == (None, 504, [])


@given(st.lists(SCALARS, min_size=1, max_size=9))
def test_any_value_is_written_as_answers_have_it(values: list[object]) -> None:
    column: Array = np.empty(len(values), dtype=object)
    column[:] = values
    written = EventFormat(frozenset()).encode(record(TEXT, Rows((column,)), {"predict": column}))
    assert b"\n" not in written
    data = json.loads(written)["data"]
    assert data["inputs"]["0"] == data["outputs"]["predict"] == [as_answered(value) for value in values]


@pytest.mark.parametrize("dtype", ["?", "i1", "i8", "u8", "f2", "f4", "f8", "U3", "O"])
@pytest.mark.parametrize("rows", [1, 4096, 10_000])
def test_arrays_of_any_size_and_shape_are_written_whole(rows: int, dtype: str) -> None:
    table = (np.arange(rows * 3) % 100).astype(dtype).reshape(rows, 3)
    signature = Signature(Layout.ARRAY, None, False, OUTPUTS)
    data = encode(record(signature, Rows((table,)), {"predict_proba": table, "predict": table[:, 0]}))["data"]
    assert data["inputs"] == {str(index): table[:, index].tolist() for index in range(3)}
    assert data["outputs"] == {"predict_proba": table.tolist(), "predict": table[:, 0].tolist()}


def test_numpy_scalars_among_objects_are_plain_values() -> None:
    mixed: Array = np.array([np.float64(1.5), np.str_("a"), np.bool_(True), np.int64(3)], dtype=object)
    assert encode(record(TEXT, Rows((mixed,))))["data"]["inputs"] == {"0": [1.5, "a", True, 3]}


@pytest.mark.parametrize("value", [object(), "\ud800", 1j])
def test_a_value_that_json_cannot_carry_is_an_error(value: object) -> None:
    with pytest.raises((NotImplementedError, UnicodeEncodeError)):
        encode(record(TEXT, Rows((np.array([value], dtype=object),))))


def test_redacted_columns_and_outputs_are_listed_and_their_values_are_nowhere() -> None:
    written = EventFormat(frozenset({"region", "predict", "absent"})).encode(record(FRAME, TABLE, ANSWERS))
    data = json.loads(written)["data"]
    assert data["inputs"] == {"age": [23.0, None]}
    assert data["outputs"] == {"predict_proba": [[0.25, 0.75], [1.0, 0.0]]}
    assert data["redacted"] == ["region", "predict"]
    for secret in (b"north", b"yes", b'"no"'):
        assert secret not in written


def test_the_name_of_the_tensor_redacts_all_of_it() -> None:
    rows = Rows((np.array([[7.125, 7.25]]),))
    written = EventFormat(frozenset({"input", "1"})).encode(record(NUMBERS, rows))
    data = json.loads(written)["data"]
    assert (data["inputs"], data["redacted"]) == ({}, ["input"])
    assert b"7.125" not in written
    assert b"7.25" not in written
    assert encode(record(FRAME, TABLE), "input")["data"]["redacted"] == []  # a table has no tensor
    texts = Rows((np.array(["good"], dtype=object),))
    assert encode(record(TEXT, texts), "input")["data"]["inputs"] == {}


def test_what_is_redacted_is_logged_once_a_model_and_so_is_a_name_that_fits_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    format = EventFormat(frozenset({"age", "regoin"}))
    for version in ("1", "2"):
        format.encode(record(FRAME, TABLE, version=version))
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.getMessage().endswith("names what no model recorded so far has: regoin")
    assert (line.__dict__["model"], line.__dict__["version"], line.__dict__["redacted"]) == ("churn", "1", "age")
    caplog.clear()
    renamed = Signature(Layout.FRAME, (Column("years", "FP64"), Column("regoin", "BYTES")), True, OUTPUTS)
    format.encode(record(renamed, TABLE, version="3"))
    (line,) = caplog.records
    assert (line.levelno, line.__dict__["version"], line.__dict__["redacted"]) == (logging.INFO, "3", "regoin")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", set()),
        (" ", set()),
        ("age", {"age"}),
        (" age, region ,predict", {"age", "region", "predict"}),
        ('age, "last, first"', {"age", "last, first"}),
    ],
)
def test_redacted_names_are_separated_by_commas(text: str, names: set[str]) -> None:
    assert parse_redacted(text) == names


@pytest.mark.parametrize("text", ["age,,region", "age,", ",", 'age, "region', "a\nb", '"a" b'])
def test_names_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(StartRefused, match=r"^--records-redact "):
        parse_redacted(text)
