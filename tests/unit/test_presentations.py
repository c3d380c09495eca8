"""inference/signature/presentations.py: estimators get what they can read: a DataFrame, float32, dates."""

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
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import write_package
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.signature import (
    Array,
    Declared,
    DeclaredColumn,
    DeclaredTensor,
    Layout,
    Moments,
    Signature,
)
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

MANY = pd.DataFrame({"a": np.linspace(0.0, 3.0, 40), "b": np.linspace(5.0, 1.0, 40) ** 2})
TARGET = (MANY["a"] * 2 - MANY["b"]).to_numpy()


class Ratio(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Reads columns by name, and says nothing of them."""

    def fit(self, X: Any, y: Any = None) -> "Ratio":
        return self

    def transform(self, X: Any) -> Any:
        return np.stack([X["a"], X["a"] / X["b"]], axis=1)


class Counted(Ratio):
    """Says how many there are, as numbers of columns go."""

    def fit(self, X: Any, y: Any = None) -> "Counted":
        self.n_features_in_ = X.shape[1]
        return self


def answer(estimator: Any, signature: Signature, body: Any, *, v2: bool = False) -> Array:
    codec = (V2Codec if v2 else V1Codec)(signature, max_rows=99, model="m", version="1")
    text = json.dumps(body).encode()
    predictor = SklearnPredictor(estimator, signature)
    name = signature.default_output
    typed, reference = (
        predictor.predict(decode(text).rows, (name,))[name]
        for decode in (partial(codec.decode, []), codec._reference_request)
    )
    np.testing.assert_array_equal(typed, reference)
    return typed


def packed(estimator: Any, sample: Any, folder: Path) -> Signature:
    write_package(estimator, name="m", version="1", repository=folder, sample=sample)
    metadata = parse_metadata((folder / "m" / "1" / "metadata.json").read_bytes())
    return infer_signature(estimator, declared_from(metadata))


@pytest.mark.parametrize("step", [Ratio, Counted])
def test_a_first_step_that_reads_columns_by_name_gets_a_dataframe(step: Any, tmp_path: Path) -> None:
    estimator = make_pipeline(step(), LinearRegression()).fit(MANY, TARGET)
    columns = (DeclaredColumn("a", "FP64"), DeclaredColumn("b", "FP64"))
    tensor = DeclaredTensor("input", "FP64", 2, ("a", "b"))
    signatures = [
        infer_signature(estimator, Declared(columns=columns)),
        infer_signature(estimator, Declared(None, tensor)),
    ]
    signatures.append(packed(estimator, MANY, tmp_path))
    for signature in signatures:
        assert signature.layout is Layout.FRAME
        for rows in ([[1.0, 4.0]], [{"b": 4.0, "a": 1.0}]):
            expected = estimator.predict(pd.DataFrame({"a": [1.0], "b": [4.0]}))
            np.testing.assert_array_equal(answer(estimator, signature, {"instances": rows}), expected)


@pytest.mark.parametrize("step", [Ratio, Counted])
def test_a_dataframe_of_columns_that_nobody_names_is_refused_with_the_way_out(step: Any) -> None:
    estimator = make_pipeline(step(), LinearRegression()).fit(MANY, TARGET)
    with pytest.raises(LoadFailed, match=rf"{step.__name__} reads columns of a DataFrame by name.*pack it"):
        infer_signature(estimator)


def test_an_array_stays_an_array_for_whom_it_does() -> None:
    estimator = LinearRegression().fit(MANY.to_numpy(), TARGET)
    columns = (DeclaredColumn("a", "FP64"), DeclaredColumn("b", "FP64"))
    assert infer_signature(estimator, Declared(columns=columns)).layout is Layout.ARRAY


def scaled(count: int) -> Any:
    return make_pipeline(StandardScaler(), KMeans(count))


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize(
    "make", [KMeans, MiniBatchKMeans, BisectingKMeans, lambda n: make_pipeline(StandardScaler(), KMeans(n))]
)
def test_estimators_that_take_only_float32_get_it(make: Any, framed: bool, tmp_path: Path) -> None:
    X: Any = MANY.astype(np.float32)
    X = X if framed else X.to_numpy()
    estimator = make(2).fit(X)
    for signature in (infer_signature(estimator), packed(estimator, X, tmp_path)):
        assert {column.datatype for column in signature.columns or ()} == {"FP32"}
        got = answer(estimator, signature, {"instances": MANY.to_numpy().tolist()})
        np.testing.assert_array_equal(got, estimator.predict(X))
    double: Any = MANY if framed else MANY.to_numpy()
    assert {column.datatype for column in infer_signature(make(2).fit(double)).columns or ()} == {"FP64"}


def test_a_table_of_float32_that_goes_into_an_array_is_packed_as_float32(tmp_path: Path) -> None:
    X = MANY.astype(np.float32)
    estimator = KMeans(2).fit(X.to_numpy())
    assert packed(estimator, X, tmp_path).datatype == "FP32"


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


def test_numbers_that_foreign_code_reads_stay_numbers() -> None:
    for function in (np.log1p, lambda X: X * 2, lambda X: X, lambda X: X.fillna(0.0), lambda X: X.clip(0, 1)):
        estimator = make_pipeline(FunctionTransformer(function), LinearRegression()).fit(MANY, TARGET)
        assert [column.moments for column in infer_signature(estimator).columns or ()] == [None, None]


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "UTC+02:00"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_packed_model_gets_dates_in_the_unit_and_zone_of_its_training(
    unit: str, zone: str | None, tmp_path: Path
) -> None:
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


class Nosy(Ratio):
    """Fails on a made-up row with the error that means that a method is not there."""

    def transform(self, X: Any) -> Any:
        return X.no_such_thing


def test_a_method_that_fails_by_attribute_error_is_still_there() -> None:
    estimator = make_pipeline(Nosy(), LinearRegression())
    estimator.steps[-1][1].fit(MANY, TARGET)
    columns = (DeclaredColumn("a", "FP64"), DeclaredColumn("b", "FP64"))
    signature = infer_signature(estimator, Declared(columns=columns))
    assert [output.name for output in signature.outputs] == ["predict"]
