"""The strict JSON reader: what it refuses and where it says the fault is."""

import json
import math
from typing import Any

import pytest
from model_manager.codecs.json_text import (
    Infinite,
    excerpt,
    has_no_repeated_key,
    listing,
    nan_as_null,
    parse,
    parse_object,
)
from model_manager.errors import InvalidInput


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b'{"a": [1,', "ends too early, at byte 9"),
        (b'{"a": 1} x', "trailing characters at byte 9"),
        (b'{"a": [1}', "expected ',' or ']' at byte 8"),
        (b'{"a": 01}', "invalid number at byte 7"),
        (b"{'a': 1}", "at byte 1"),
        (b'{"a": nan}', "at byte 6: send null where missing; NaN and Infinity are taken"),
        (b'{"a": inf}', "at byte 6: send null where missing; NaN and Infinity are taken"),
        (b'{"a": [NaN, 01]}', "not JSON: Expecting ',' delimiter at byte 13"),
        (b'{"a": "NaN", "\xc3\xa9": tru}', "not JSON: Expecting value at byte 19"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b'["\\ud800\\u0041", 1]', "half of a surrogate pair"),
        (b'["\\udc00", NaN]', "half of a surrogate pair"),
        (b'{"a": "\xff"}', "not UTF-8: invalid start byte at byte 7"),
        (b'{"a": "\xe9', "not UTF-8: unexpected end of data at byte 7"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1e999," + b"[" * 100_000, "nested too deeply"),
        (b"[" * 900 + b"]" * 900, None),
        (b'[1e999, "\\ud800"]', "out of range"),
        (b"[" + b"1" * 5000 + b"]", "an integer of thousands of digits"),
    ],
)
def test_text_that_is_not_json_is_refused_with_its_place(body: bytes, message: str | None) -> None:
    if message is None:
        assert isinstance(parse(body), list)
        return
    with pytest.raises(InvalidInput) as refused:
        parse(body)
    assert message in str(refused.value)


def test_a_number_no_float_holds_is_left_for_the_cell_that_it_stands_in() -> None:
    assert parse(b"[1, 1e999]") == [1, float("inf")]
    assert not any(isinstance(value, Infinite) for value in parse(b"[1, 1e999]"))  # type: ignore[attr-defined]


def test_literals_of_other_writers_are_read_for_what_they_say() -> None:
    read: Any = parse(b"[NaN, Infinity, -Infinity]")
    missing, most, least = read
    assert math.isnan(missing)
    assert (most, least) == (math.inf, -math.inf)
    assert isinstance(most, Infinite)
    assert isinstance(least, Infinite)
    assert parse(b'{"NaN": "\\ud83d\\ude00 NaN", "a": NaN}') == {
        "NaN": "😀 NaN",
        "a": pytest.approx(math.nan, nan_ok=True),
    }


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"[1, NaN,NaN]", b"[1, null,null]"),
        (b'["NaN", "a\\"NaN", NaN, "\\\\", NaN]', b'["NaN", "a\\"NaN", null, "\\\\", null]'),
        (b'["NaN', b'["null'),
    ],
)
def test_nan_becomes_null_outside_of_strings(body: bytes, read: bytes) -> None:
    assert nan_as_null(body) == read


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[1]", "must be a JSON object, got a list of 1 value"),
        (b'"x"', 'must be a JSON object, got "x"'),
        (b"null", "must be a JSON object, got null"),
        (b'{"a": 1, "b": 2, "\\u0061": 3}', 'the body: "a" is given more than once'),
    ],
)
def test_a_body_must_be_one_object_without_repeated_keys(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_object(body)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("body", "keys", "surely"),
    [
        (b'{"a":1,"b":2}', 2, True),
        (b'{"a" :1,"b":2}', 2, True),
        (b'{"a":"12:30"}', 1, True),
        (b'{"a":1,"a":2}', 1, False),
        (b'{"a":1,"\\u0061":2}', 1, False),
        (b'{"a":1,"a" :2}', 1, False),
        (b'{"a":1,"a"\t:2}', 1, False),
        (b'{"a":"\\":"}', 1, False),  # no repetition, but not surely so
    ],
)
def test_colons_tell_whether_a_key_may_be_repeated(body: bytes, keys: int, surely: bool) -> None:
    assert has_no_repeated_key(body, keys) is surely
    assert not surely or len(json.loads(body)) == keys


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("ä", '"ä"'),
        ('a"b', '"a\\"b"'),
        ("x" * 100, '"' + "x" * 40 + '…"'),
        (10**100, "1" + "0" * 39 + "…"),
        ([1], "a list of 1 value"),
        ([1, 2], "a list of 2 values"),
        ({}, "an object"),
    ],
)
def test_values_are_shown_short(value: object, shown: str) -> None:
    assert excerpt(value) == shown


def test_long_lists_of_names_are_cut() -> None:
    assert listing(["a", "b"]) == '"a", "b"'
    assert listing([str(number) for number in range(12)]).endswith('"9" and 2 more')
