"""The reference validation: what rows are accepted, in which dtypes, and the exact place of every refusal."""

import math
from typing import Any

import numpy as np
import pytest
from model_manager.codecs.cells import read_cell
from model_manager.codecs.rows import rows_from_columns, rows_from_instances
from model_manager.errors import InvalidInput
from model_manager.signature import DTYPES, Column, Datatype, Layout, Output, Signature

LABEL = (Output("predict", "BYTES", (-1,)),)
IRIS = Signature(Layout.ARRAY, tuple(Column(str(n), "FP64") for n in range(4)), False, LABEL)
NAMED = Signature(Layout.ARRAY, (Column("width", "FP64"), Column("height", "FP64", nullable=True)), True, LABEL)
TITANIC = Signature(
    Layout.FRAME,
    (
        Column("age", "INT64"),
        Column("fare", "FP32", nullable=True),
        Column("sex", "BYTES", categories=("female", "male")),
        Column("cabin", "BYTES", nullable=True),
        Column("alone", "BOOL"),
        Column("siblings", "INT8", nullable=True),
    ),
    True,
    LABEL,
)
TEXT = Signature(Layout.TEXT, None, False, LABEL)
ANY_WIDTH = Signature(Layout.ARRAY, None, False, LABEL)
OBJECTS = Signature(Layout.ARRAY, (Column("0", "BYTES", nullable=True), Column("1", "FP64")), False, LABEL)
ONE = Signature(Layout.ARRAY, (Column("0", "FP64"),), False, LABEL)


def test_lists_become_one_block_of_the_declared_dtype() -> None:
    (block,) = rows_from_instances([[1, 2.5, -3, 0], [4, 5, 6, 7]], IRIS).blocks
    assert block.dtype == np.float64
    assert block.tolist() == [[1.0, 2.5, -3.0, 0.0], [4.0, 5.0, 6.0, 7.0]]


def test_objects_become_columns_in_declared_order() -> None:
    row = {"siblings": None, "alone": True, "cabin": None, "sex": "unheard of", "fare": 7.25, "age": 22.0}
    positional = [30, None, "male", "C85", False, 2]
    blocks = rows_from_instances([row, positional], TITANIC).blocks
    assert [block.dtype.kind for block in blocks] == ["i", "f", "O", "O", "b", "f"]
    assert [block.dtype.itemsize for block in blocks[:2]] == [8, 4]
    assert blocks[0].tolist() == [22, 30]
    assert blocks[1][0] == 7.25
    assert math.isnan(blocks[1][1])
    assert blocks[2].tolist() == ["unheard of", "male"]
    assert math.isnan(blocks[3][0])
    assert isinstance(blocks[3][0], float)
    assert blocks[4].tolist() == [True, False]
    assert math.isnan(blocks[5][0])


def test_strings_and_single_string_lists_are_rows_of_text() -> None:
    (block,) = rows_from_instances(["good", ["bad"]], TEXT).blocks
    assert block.dtype == object
    assert block.tolist() == ["good", "bad"]


def test_a_bare_number_is_a_row_of_a_single_column_model() -> None:
    (block,) = rows_from_instances([1, [2]], ONE).blocks
    assert block.tolist() == [[1.0], [2.0]]


def test_an_object_array_keeps_strings_beside_numbers() -> None:
    (block,) = rows_from_instances([["a", 1], [None, 2]], OBJECTS).blocks
    assert block.dtype == object
    assert block[0].tolist() == ["a", 1.0]
    assert math.isnan(block[1][0])


def test_true_and_false_are_one_and_zero_in_columns_of_numbers() -> None:
    (block,) = rows_from_instances([[True, False, 2, 0.5]], IRIS).blocks
    assert block.tolist() == [[1.0, 0.0, 2.0, 0.5]]
    blocks = rows_from_instances([[True, False, "f", "c", True, False]], TITANIC).blocks
    assert [block.tolist() for block in blocks] == [[1], [0.0], ["f"], ["c"], [True], [0.0]]
    (block,) = rows_from_instances([["a", True]], OBJECTS).blocks
    assert repr(block.tolist()) == "[['a', 1.0]]"


def test_the_first_row_sets_a_width_that_is_not_declared() -> None:
    assert rows_from_instances([[1, 2], [3, 4]], ANY_WIDTH).blocks[0].shape == (2, 2)


def test_golden_rows_may_hold_nan_for_missing() -> None:
    assert math.isnan(rows_from_instances([[1.0, math.nan]], NAMED).blocks[0][0, 1])


@pytest.mark.parametrize(
    ("signature", "instances", "message"),
    [
        (IRIS, [], "instances: no rows; send at least one"),
        (IRIS, [[1, 2, 3, 4], [1, 2, 3]], "instances: row 1: expected 4 values, got 3"),
        (IRIS, [[1, 2, "abc", 4]], 'instances: row 0, column 2: expected a number (FP64), got "abc"'),
        (IRIS, [[1, 2, [3], 4]], "instances: row 0, column 2: expected a number (FP64), got a list of 1 value"),
        (IRIS, [[1, 2, 10**400, 4]], "instances: row 0, column 2: expected a number (FP64), got one too large for it"),
        (IRIS, [[1, 2, math.inf, 4]], "instances: row 0, column 2: expected a number (FP64), got one too large for it"),
        (IRIS, [[1, 2, 3, None]], "row 0, column 3: expected a number (FP64), got null: no missing values"),
        (IRIS, [[1, 2, 3, math.nan]], "row 0, column 3: expected a number (FP64), got NaN: no missing values"),
        (IRIS, [1, 2, 3, 4], "instances: row 0: expected a list of 4 values, got 1"),
        (IRIS, [{"0": 1}], "row 0: expected a list, got an object: this model's columns have no names"),
        (NAMED, ["x"], 'row 0: expected a list of 2 values or an object keyed by column, got "x"'),
        (NAMED, [{"width": 1, "hieght": 2}], 'row 0: unknown column "hieght"; did you mean "height"?'),
        (NAMED, [{"width": 1, "height": 2, "?": 2}], 'row 0: unknown column "?"; known: "width", "height"'),
        (NAMED, [{"width": 1, "height": 2, "width" * 20: 2}], 'known: "width", "height"'),
        (NAMED, [[1, 2], {"width": 1}], 'instances: row 1: missing column "height"'),
        (NAMED, [{}], 'row 0: missing columns "width", "height"'),
        (NAMED, [{"width": "1", "height": 2}], 'row 0, column "width": expected a number (FP64), got "1"'),
        (TITANIC, [[1.5, 1, "f", "c", True, 1]], 'column "age": expected an integer from -9223372036854775808'),
        (TITANIC, [[2**63, 1, "f", "c", True, 1]], 'column "age": expected an integer'),
        (TITANIC, [[1, 1e39, "f", "c", True, 1]], 'column "fare": expected a number (FP32), got one too large'),
        (TITANIC, [[1, 1, 3, "c", True, 1]], 'column "sex": expected a string, got 3'),
        (TITANIC, [[1, 1, None, "c", True, 1]], 'column "sex": expected a string, got null: no missing values'),
        (TITANIC, [[1, 1, "f", "c", 1, 1]], 'column "alone": expected true or false, got 1'),
        (TITANIC, [[1, 1, "f", "c", True, 128]], '"siblings": expected an integer from -128 to 127 (INT8), got 128'),
        (TEXT, [3], "instances: row 0: expected a string, got 3"),
        (TEXT, ["a", {"text": "b"}], "row 1: expected a string, got an object: a row of this model is the text itself"),
        (TEXT, [["a", "b"]], "instances: row 0: expected 1 values, got 2"),
        (ANY_WIDTH, [[1, 2], [3]], "instances: row 1: expected 2 values, got 1"),
        (ANY_WIDTH, [[1, "x"]], 'instances: row 0, column 1: expected a number (FP64), got "x"'),
        (ANY_WIDTH, [1], "instances: row 0: expected a list of numbers, got 1"),
        (ANY_WIDTH, [[]], "instances: row 0: expected at least one value"),
        (OBJECTS, [[1, 1]], "row 0, column 0: expected a string, got 1"),
        (OBJECTS, [["a", "b"]], 'row 0, column 1: expected a number (FP64), got "b"'),
    ],
)
def test_rows_are_refused_with_their_place(signature: Signature, instances: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rows_from_instances(instances, signature)
    assert message in str(refused.value)


def test_columns_become_blocks() -> None:
    (block,) = rows_from_columns({"height": [3, None], "width": [1, 2]}, NAMED).blocks
    assert block[:, 0].tolist() == [1.0, 2.0]
    assert block[0, 1] == 3.0
    assert math.isnan(block[1, 1])


@pytest.mark.parametrize(
    ("columnar", "message"),
    [
        ({"width": [1], "height": [1], "depth": [1]}, 'inputs: unknown column "depth"'),
        ({"width": [1]}, 'inputs: missing column "height"'),
        ({"width": [1], "height": 1}, 'inputs: column "height": expected a list with one value per row, got 1'),
        ({"width": [1, 2], "height": [1]}, 'column "height": has 1 rows, but column "width" has 2'),
        ({"width": [1, "2"], "height": [1, 2]}, 'inputs: column "width": row 1: expected a number (FP64), got "2"'),
        ({"width": [], "height": []}, "inputs: no rows"),
    ],
)
def test_columns_are_refused_with_their_place(columnar: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        rows_from_columns(columnar, NAMED)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("value", "datatype", "stored"),
    [
        (3.0, "INT64", 3),
        (255, "UINT8", 255),
        (2**64 - 1, "UINT64", 2**64 - 1),
        (7, "FP64", 7.0),
        (65504, "FP16", 65504.0),
        (True, "BOOL", True),
        ("", "BYTES", ""),
    ],
)
def test_values_in_range_are_stored_in_their_own_type(value: object, datatype: Datatype, stored: object) -> None:
    cell = read_cell(value, Column("c", datatype), DTYPES[datatype])
    assert cell == stored
    assert type(cell) is type(stored)


@pytest.mark.parametrize(
    ("value", "datatype"), [(300, "UINT8"), (-1, "UINT64"), (2**64, "UINT64"), (1e300, "INT64"), (70000.0, "FP16")]
)
def test_values_out_of_range_are_refused(value: object, datatype: Datatype) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        read_cell(value, Column("c", datatype, nullable=True), DTYPES[datatype])


def test_gaps_turn_integers_and_booleans_into_floats() -> None:
    assert TITANIC.dtype_of(Column("n", "INT8", nullable=True)) == np.float64
    assert TITANIC.dtype_of(Column("n", "BOOL", nullable=True)) == np.float64
    assert TITANIC.dtype_of(Column("n", "INT8")) == np.int8
    assert TITANIC.dtype_of(Column("n", "FP32", nullable=True)) == np.float32
    assert Signature(Layout.ARRAY, (Column("0", "INT8", nullable=True),), False, LABEL).dtype == np.float64
    assert TEXT.dtype == np.object_
