"""One rule for integers and booleans that may be missing: by metadata alone, then float64, and exact or refused."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.codecs.cells import INTEGER_BOUNDS
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import InvalidInput, PackageRefused
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import write_package
from model_manager.repository.metadata import ColumnInput, Metadata, declared_from, parse_metadata
from model_manager.signature import Column, Datatype, Layout, Output, PredictRequest, Rows, Signature
from sklearn.ensemble import HistGradientBoostingRegressor

OUTPUTS = (Output("predict", "FP64", (-1,)),)
NAMES = ("count", "flag", "size")
LARGEST = 2**53
INTEGERS: list[Datatype] = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
Decode = Callable[[bytes], PredictRequest]


def columns(count: Datatype, *, nullable: bool) -> tuple[Column, ...]:
    return (
        Column("count", count, nullable=nullable),
        Column("flag", "BOOL", nullable=nullable),
        Column("size", "FP64", nullable=nullable),
    )


def bodies(signature: Signature, table: list[list[Any]]) -> list[tuple[str, Decode, bytes]]:
    """The same rows in every way in which a client may send them, each for the typed and for the reference path."""
    v1, v2 = (codec(signature, max_rows=9, model="m", version="1") for codec in (V1Codec, V2Codec))
    by_column = {column.name: [row[at] for row in table] for at, column in enumerate(signature.columns or ())}
    tensors = [
        {"name": column.name, "shape": [len(table)], "datatype": column.datatype, "data": by_column[column.name]}
        for column in signature.columns or ()
    ]
    documents: list[tuple[str, Any, dict[str, Any]]] = [
        ("V1 lists", v1, {"instances": table}),
        ("V1 objects", v1, {"instances": [dict(zip(by_column, row, strict=True)) for row in table]}),
        ("V1 columns", v1, {"inputs": by_column}),
        ("V2", v2, {"inputs": tensors}),
    ]
    return [
        (f"{name} {path}", decode, json.dumps(document).encode())
        for name, codec, document in documents
        for path, decode in (("typed", partial(codec.decode, [])), ("reference", codec._reference_request))
    ]


def is_same(held: float, sent: object) -> bool:
    return math.isnan(held) if sent is None else held == sent


@pytest.mark.parametrize("layout", [Layout.FRAME, Layout.ARRAY])
@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("nullable", [True, False])
def test_every_path_holds_the_very_integers_that_were_sent(layout: Layout, datatype: Datatype, nullable: bool) -> None:
    low, high = INTEGER_BOUNDS[datatype]
    floats = nullable or layout is Layout.ARRAY  # beside a column of floats, an array is one of floats
    most, least = (min(high, LARGEST), max(low, -LARGEST)) if floats else (high, low)
    flag: list[Any] = [True, False, None if nullable else True]
    if layout is Layout.ARRAY:
        declared: tuple[Column, ...] = columns(datatype, nullable=nullable)
        declared = (declared[0], Column("flag", datatype, nullable=nullable), declared[2])
        flag = [1, 0, None if nullable else 1]
    else:
        declared = columns(datatype, nullable=nullable)
    table = [[most, flag[0], 0.5], [least, flag[1], 1.5], [None if nullable else 7, flag[2], 2.5]]
    signature = Signature(layout, declared, True, OUTPUTS)
    for path, decode, body in bodies(signature, table):
        blocks = decode(body).rows.blocks
        rows = blocks[0].tolist() if layout is Layout.ARRAY else list(zip(*(b.tolist() for b in blocks), strict=True))
        assert all(
            is_same(h, s) for row, sent in zip(rows, table, strict=True) for h, s in zip(row, sent, strict=True)
        ), (
            path,
            rows,
        )
        if layout is Layout.FRAME:
            assert [block.dtype.kind for block in blocks[:2]] == (
                ["f", "f"] if nullable else [np.dtype(blocks[0].dtype).kind, "b"]
            )


@pytest.mark.parametrize("layout", [Layout.FRAME, Layout.ARRAY])
@pytest.mark.parametrize("datatype", ["INT64", "UINT64"])
@pytest.mark.parametrize("value", [LARGEST + 1, 2**62])
def test_an_integer_that_float64_would_round_is_refused(layout: Layout, datatype: Datatype, value: int) -> None:
    declared = columns(datatype, nullable=layout is Layout.FRAME)
    if layout is Layout.ARRAY:
        declared = (declared[0], declared[2])
    signature = Signature(layout, declared, True, OUTPUTS)
    least = -LARGEST if datatype == "INT64" else 0
    told = rf"expected an integer from {least} to {LARGEST} \({datatype}, held as FP64\), got {value}$"
    row = [value, *([True] if layout is Layout.FRAME else []), 0.5]
    for path, decode, body in bodies(signature, [row]):
        with pytest.raises(InvalidInput, match=told):
            pytest.fail(f"{path}: {decode(body).rows}")


@given(
    st.sampled_from(INTEGERS),
    st.sampled_from(INTEGERS),
    st.booleans(),
    st.lists(st.none() | st.integers(-(2**64), 2**64), min_size=1, max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_what_any_carrier_brings_is_held_exactly_or_refused(
    own: Datatype, carrier: Datatype, nullable: bool, values: list[int | None]
) -> None:
    signature = Signature(Layout.FRAME, (Column("n", own, nullable=nullable),), True, OUTPUTS)
    tensor = {"name": "n", "shape": [len(values)], "datatype": carrier, "data": values}
    codec = V2Codec(signature, max_rows=9, model="m", version="1")
    for decode in (partial(codec.decode, []), codec._reference_request):
        try:
            (block,) = decode(json.dumps({"inputs": [tensor]}).encode()).rows.blocks
        except InvalidInput:
            continue
        assert all(is_same(held, sent) for held, sent in zip(block.tolist(), values, strict=True))


def table_with_gaps() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "count": pd.array(random.integers(0, 9, 60), dtype="Int64"),
            "flag": pd.array(random.random(60) < 0.5, dtype="boolean"),
            "size": random.normal(size=60),
        }
    )
    frame.loc[::7, "count"] = pd.NA
    frame.loc[::5, "flag"] = pd.NA
    return frame


def as_floats(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in NAMES})


def test_a_column_with_gaps_goes_from_training_to_the_answer_as_it_was_declared(tmp_path: Path) -> None:
    frame = table_with_gaps()
    estimator = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=3).fit(as_floats(frame), range(60))
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=frame)
    metadata = parse_metadata((folder / "metadata.json").read_bytes())
    assert [
        (one.name, one.datatype, one.nullable) for one in metadata.inputs or () if isinstance(one, ColumnInput)
    ] == [
        ("count", "INT64", True),
        ("flag", "BOOL", True),
        ("size", "FP64", True),
    ]
    assert metadata.golden is not None
    first = metadata.golden.instances[1]
    assert (type(first["count"]), type(first["flag"])) == (int, bool)

    signature = infer_signature(estimator, declared_from(metadata))
    table: list[list[Any]] = [[3, True, 0.25], [None, None, 0.5], [8, False, -1.0]]
    expected = estimator.predict(as_floats(pd.DataFrame(table, columns=NAMES).astype(frame.dtypes.to_dict())))
    sklearn = SklearnPredictor(estimator, signature)
    compilation = compile_predictor(estimator, sklearn, None)
    assert compilation.report.compiled, compilation.report
    for path, decode, body in bodies(signature, table):
        rows = decode(body).rows
        for predictor in (sklearn, compilation.predictor):
            np.testing.assert_array_equal(predictor.predict(rows, ("predict",))["predict"], expected, err_msg=path)


def test_what_metadata_does_not_say_of_integers_is_no_and_their_dtype_stays() -> None:
    frame = pd.DataFrame({"count": [1, 2, 3], "flag": [True, False, True], "size": [0.1, 0.2, 0.3]})
    estimator = HistGradientBoostingRegressor(max_iter=2).fit(frame, [1, 2, 3])
    declared = declared_from(
        Metadata(
            inputs=[
                ColumnInput(name="count", datatype="INT64"),
                ColumnInput(name="flag", datatype="BOOL"),
                ColumnInput(name="size", datatype="FP64"),
            ]
        )
    )
    drafts: list[Signature] = []

    def golden(draft: Signature) -> Rows:
        drafts.append(draft)
        return V1Codec(draft, max_rows=9, model="m", version="1").decode([], b'{"instances": [[1, true, 0.5]]}').rows

    found = infer_signature(estimator, declared, golden_rows=golden)
    assert [column.nullable for column in drafts[0].columns or ()] == [False, False, True]
    assert [column.nullable for column in found.columns or ()] == [False, False, True]
    assert [found.dtype_of(column).kind for column in found.columns or ()] == ["i", "b", "f"]


def test_a_sample_whose_integers_would_be_rounded_is_refused(tmp_path: Path) -> None:
    frame = table_with_gaps()
    estimator = HistGradientBoostingRegressor(max_iter=2).fit(as_floats(frame), range(60))
    frame.loc[1, "count"] = LARGEST + 1
    told = f"column 'count' does not fit datatype INT64: it holds {LARGEST + 1}"
    with pytest.raises(PackageRefused, match=told):
        write_package(estimator, name="m", version="1", repository=tmp_path, sample=frame)
    assert not list(tmp_path.rglob("*"))
