"""Dates and times: ISO 8601 strings on the wire, what the estimator saw behind it, exactly or refused."""

import datetime
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.codecs.v2_metadata import describe_inputs
from model_manager.errors import InvalidInput, LoadFailed, PackageRefused
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import write_package
from model_manager.records.event_format import _encode_values
from model_manager.signature import (
    Declared,
    DeclaredColumn,
    Moments,
)
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tests.unit.test_presentations import MANY, TARGET, answer, packed


def parts_of(frame: Any) -> Any:
    return pd.DataFrame({"month": frame["day"].dt.month, "hour": frame["day"].dt.hour, "gap": frame["day"].isna()})


def converted(frame: Any) -> Any:
    days = pd.to_datetime(frame["day"])
    return pd.DataFrame({"month": days.dt.month, "year": days.dt.year})


def dated(unit: str = "us", zone: str | None = None) -> pd.DataFrame:
    days: Any = pd.Series(pd.date_range("2024-01-01", periods=40, freq="37h", unit=unit))  # type: ignore[call-overload]
    return pd.DataFrame({"day": days.dt.tz_localize(zone), "a": MANY["a"]})


def by_parts(function: Any) -> Any:
    date = FunctionTransformer(function)
    return make_pipeline(ColumnTransformer([("day", date, ["day"])], remainder="passthrough"), LinearRegression())


@pytest.mark.parametrize("function", [parts_of, converted])
def test_dates_come_as_iso_8601_to_a_bare_model(function: Any) -> None:
    X = dated()
    estimator = by_parts(function).fit(X, TARGET)
    signature = infer_signature(estimator)
    column = (signature.columns or ())[0]
    assert (column.datatype, column.moments, (signature.columns or ())[1].moments) == ("BYTES", Moments("us"), None)
    rows = [{"day": "2024-03-05T13:45:00", "a": 1.5}, {"day": "2024-11-30", "a": 0.5}]
    frame = pd.DataFrame({"day": pd.to_datetime(["2024-03-05T13:45", "2024-11-30T00:00"]), "a": [1.5, 0.5]})
    np.testing.assert_array_equal(answer(estimator, signature, {"instances": rows}), estimator.predict(frame))
    with pytest.raises(InvalidInput, match=r'row 0, column "day": expected a date or a time as ISO 8601 has it'):
        answer(estimator, signature, {"instances": [{"day": 20240305, "a": 1}]})


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "UTC+02:00"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_packed_model_gets_dates_as_its_training_did(unit: str, zone: str | None, tmp_path: Path) -> None:
    X = dated(unit)
    if zone is not None:
        X["day"] = X["day"].dt.tz_localize("UTC").dt.tz_convert(zone)
    X.loc[3, "day"] = pd.NaT

    local = FunctionTransformer(parts_without_gaps)
    estimator = make_pipeline(ColumnTransformer([("day", local, ["day"])], remainder="passthrough"), LinearRegression())
    estimator.fit(X, TARGET)
    signature = packed(estimator, X, tmp_path)
    column = (signature.columns or ())[0]
    assert str(column.moments) == str(X["day"].dtype)
    assert column.nullable
    expected = estimator.predict(X)
    texts = [None if pd.isna(day) else day.isoformat() for day in X["day"]]
    rows = [list(row) for row in zip(texts, X["a"].tolist(), strict=True)]
    np.testing.assert_allclose(answer(estimator, signature, {"instances": rows}), expected)
    parameters = describe_inputs(signature)[0]["parameters"]
    assert parameters == {"nullable": True, "content_type": "datetime"}
    tensors = [
        {"name": "day", "shape": [40], "datatype": "BYTES", "data": texts, "parameters": {"content_type": "datetime"}},
        {"name": "a", "shape": [40], "datatype": "FP64", "data": X["a"].tolist()},
    ]
    np.testing.assert_allclose(answer(estimator, signature, {"inputs": tensors}, v2=True), expected)


def parts_without_gaps(frame: Any) -> Any:
    assert frame["day"].dtype.kind == "M"
    return parts_of(frame).fillna(0)


@pytest.mark.parametrize(
    ("text", "unit", "zone", "told"),
    [
        ("2024-02-30", "us", None, "day"),
        ("2024-03-05T25:00", "us", None, "hour must be in"),
        ("05.03.2024", "us", None, "not of that form"),
        ("20240305", "us", None, "not of that form"),
        ("", "us", None, "not of that form"),
        ("2024-03-05T10:00:00Z", "us", None, "it has an offset, and the model was trained on times without one"),
        ("2024-03-05T10:00:00", "us", "UTC", "it needs an offset, such as Z"),
        ("2024-03-05", "us", "UTC", "it needs an offset, such as Z"),
        ("2024-03-05T10:00:00.5", "s", None, "finer than the model's s"),
        ("3024-03-05", "ns", None, "out of range"),
        ("2024-03-05T10:00:00+99:99", "us", "UTC", "got"),
    ],
)
def test_what_is_no_date_for_the_model_is_refused(text: str, unit: Any, zone: str | None, told: str) -> None:
    X = dated(unit)
    X["day"] = X["day"].dt.tz_localize(zone)
    estimator = by_parts(parts_of).fit(X, TARGET)
    columns = (DeclaredColumn("day", "BYTES", moments=Moments(unit, zone)), DeclaredColumn("a", "FP64"))
    signature = infer_signature(estimator, Declared(columns=columns))
    with pytest.raises(
        InvalidInput, match=f'row 0, column "day": expected a date or a time as ISO 8601 has it.*{told}'
    ):
        answer(estimator, signature, {"instances": [[text, 1.0]]})


def test_moments_are_counted_exactly() -> None:
    X = dated("ns", "UTC")
    estimator = by_parts(parts_of).fit(X, TARGET)
    columns = (DeclaredColumn("day", "BYTES", moments=Moments("ns", "UTC")), DeclaredColumn("a", "FP64"))
    signature = infer_signature(estimator, Declared(columns=columns))
    codec = V1Codec(signature, max_rows=9, model="m", version="1")
    texts = ["1969-12-31T23:59:59.999999999Z", "2024-03-05 10:00:00.123456789+05:30", "1900-01-01T00:00-0130"]
    body = json.dumps({"instances": [[text, 1] for text in texts]}).encode()
    exact = [-1, 1709613000123456789, -2208983400 * 10**9]
    for decode in (partial(codec.decode, []), codec._reference_request):
        assert decode(body).rows.blocks[0].astype(np.int64).tolist() == exact


def test_encoders_of_dates_tell_that_they_are() -> None:
    X = dated().assign(day=lambda frame: frame["day"].dt.normalize())
    encoder = ColumnTransformer([("day", OneHotEncoder(handle_unknown="ignore"), ["day"])])
    estimator = make_pipeline(encoder, LogisticRegression()).fit(X, TARGET > 0)
    signature = infer_signature(estimator)
    assert (signature.columns or ())[0].moments == Moments("us")
    got = answer(estimator, signature, {"instances": [["2024-01-01", 1.0]]})
    assert got.tolist() == estimator.predict(X.head(1)).tolist()


def test_dates_as_objects_are_refused_with_the_way_out(tmp_path: Path) -> None:
    X = dated()
    estimator = by_parts(parts_of).fit(X, TARGET)
    sample = X.assign(day=pd.Series([datetime.date(2024, 1, 1)] * 40, dtype=object))
    with pytest.raises(PackageRefused, match=r"column 'day' holds date values as Python objects.*to_datetime"):
        write_package(estimator, name="m", version="1", repository=tmp_path, sample=sample)


def test_a_time_zone_that_there_is_not_is_the_metadatas_fault() -> None:
    estimator = by_parts(parts_of).fit(dated(), TARGET)
    columns = (DeclaredColumn("day", "BYTES", moments=Moments("us", "Mars/Olympus")), DeclaredColumn("a", "FP64"))
    with pytest.raises(LoadFailed, match="column 'day': there is no time zone 'Mars/Olympus'"):
        infer_signature(estimator, Declared(columns=columns))


def test_strings_declared_as_dates_that_are_none_are_refused() -> None:
    frame = pd.DataFrame({"c": ["a", "b"] * 20, "a": MANY["a"]})
    encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["c"])])
    signature = infer_signature(make_pipeline(encoder, LogisticRegression()).fit(frame, TARGET > 0))
    codec = V2Codec(signature, max_rows=9, model="m", version="1")
    date = {"content_type": "datetime"}
    tensors = [
        {"name": "c", "shape": [1], "datatype": "BYTES", "data": ["2024-01-01"], "parameters": date},
        {"name": "a", "shape": [1], "datatype": "FP64", "data": [1]},
    ]
    with pytest.raises(InvalidInput, match='input "c": content_type "datetime" does not describe it'):
        codec.decode([], json.dumps({"inputs": tensors}).encode())


def test_forms_are_proven_beside_columns_of_dates() -> None:
    X = dated("ns")
    kept = ColumnTransformer([("a", StandardScaler(), ["a"])])
    estimator = make_pipeline(kept, LogisticRegression()).fit(X, TARGET > 0)
    columns = (DeclaredColumn("day", "BYTES", moments=Moments("ns")), DeclaredColumn("a", "FP64"))
    signature = infer_signature(estimator, Declared(columns=columns))
    sklearn = SklearnPredictor(estimator, signature)
    compilation = compile_predictor(estimator, sklearn, None)
    assert compilation.report.compiled, compilation.report
    codec = V1Codec(signature, max_rows=9, model="m", version="1")
    rows = codec.decode([], b'{"instances": [[null, 1], ["2024-01-01", 0]]}').rows
    expected = estimator.predict(pd.DataFrame({"day": X["day"][:2], "a": [1.0, 0.0]})).tolist()
    for predictor in (sklearn, compilation.predictor):
        assert predictor.predict(rows, ("predict",))["predict"].tolist() == expected


def test_dates_are_recorded_as_iso_8601() -> None:
    for unit in ("s", "ns"):
        block = np.array(["2024-01-01T10:00", "NaT"], dtype=f"datetime64[{unit}]")
        assert bytes(_encode_values(block)) == b'["2024-01-01T10:00:00",null]'
