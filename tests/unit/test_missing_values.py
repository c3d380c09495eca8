"""None is not NaN: an estimator is given for a missing value what it saw when it was fitted, on every path."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import PackageRefused
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import write_package
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.signature import Declared, DeclaredColumn, PredictRequest, Signature
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

Decode = Callable[[bytes], PredictRequest]
COLORS = ["a", "b", "b", None, "a", None] * 10
FLAGS = [True, False, None, False, None, True] * 10
COUNTS = [1, 2, None, 2, None, 1] * 10
LABELS = [0, 1, 1, 1, 0, 1] * 10


def table(colors: list[Any] = COLORS, dtype: Any = object) -> pd.DataFrame:
    return pd.DataFrame({"n": np.linspace(-1, 1, 60), "c": pd.Series(colors, dtype=dtype)})


def encoded(encoder: Any, columns: Any = ("c",)) -> Any:
    chosen = columns if callable(columns) else list(columns)
    return make_pipeline(
        ColumnTransformer([("c", encoder, chosen)], remainder="passthrough"), LogisticRegression(max_iter=500)
    )


def bodies(signature: Signature, rows: list[list[Any]]) -> list[tuple[str, Decode, bytes]]:
    """The same rows in every way in which a client may send them, each for the typed and for the reference path."""
    v1, v2 = (codec(signature, max_rows=99, model="m", version="1") for codec in (V1Codec, V2Codec))
    columns = signature.columns or ()
    by_column = {column.name: [row[at] for row in rows] for at, column in enumerate(columns)}
    documents: list[tuple[str, Any, dict[str, Any]]] = [("V1 lists", v1, {"instances": rows})]
    if signature.named:
        tensors = [
            {"name": column.name, "shape": [len(rows)], "datatype": column.datatype, "data": by_column[column.name]}
            for column in columns
        ]
        documents += [
            ("V1 objects", v1, {"instances": [dict(zip(by_column, row, strict=True)) for row in rows]}),
            ("V1 columns", v1, {"inputs": by_column}),
            ("V2", v2, {"inputs": tensors}),
        ]
    else:
        whole = {"name": "input", "shape": [len(rows), len(columns)], "datatype": signature.datatype, "data": rows}
        documents.append(("V2 whole", v2, {"inputs": [whole]}))
    return [
        (f"{name} {path}", decode, json.dumps(document).encode())
        for name, codec, document in documents
        for path, decode in (("typed", partial(codec.decode, [])), ("reference", codec._reference_request))
    ]


def check(estimator: Any, X: Any, declared: Declared | None = None, *, compiled: bool = False) -> Signature:
    """Hold every path and form to the estimator's own answers, and return the signature."""
    signature = infer_signature(estimator, declared or Declared())
    sklearn = SklearnPredictor(estimator, signature)
    predictors: list[Any] = [sklearn]
    if compiled:
        compilation = compile_predictor(estimator, sklearn, None)
        assert compilation.report.compiled, compilation.report
        predictors.append(compilation.predictor)
    values = np.asarray(X, dtype=object)
    rows = [[None if pd.isna(value) else value for value in row] for row in values.tolist()]
    outputs = tuple(output.name for output in signature.outputs)
    for path, decode, body in bodies(signature, rows):
        decoded = decode(body).rows
        for predictor in predictors:
            answers = predictor.predict(decoded, outputs)
            for name in outputs:
                own = getattr(estimator, name)(X)
                own = own.toarray() if hasattr(own, "toarray") else np.asarray(own)
                if own.dtype.kind == "f":
                    np.testing.assert_allclose(answers[name], own, rtol=1e-9, err_msg=f"{path} {predictor.form}")
                else:
                    assert answers[name].tolist() == own.tolist(), (path, predictor.form)
    return signature


ENCODERS = {
    "one-hot": OneHotEncoder(handle_unknown="ignore"),
    "one-hot-infrequent": OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=2),
    "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    "target": TargetEncoder(cv=2),
    "imputer of None": make_pipeline(
        SimpleImputer(missing_values=None, strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore")
    ),
    "imputer of NaN, which lets None through": make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    ),
}


@pytest.mark.parametrize("encoder", list(ENCODERS))
@pytest.mark.parametrize(
    "columns", [["c"], [1], make_column_selector(dtype_include=object)], ids=["name", "number", "selector"]
)
def test_null_is_the_none_of_the_training_data(encoder: str, columns: Any) -> None:
    X = table()
    estimator = encoded(ENCODERS[encoder], columns).fit(X, LABELS)
    signature = check(estimator, X, compiled=columns == ["c"] and encoder != "target")
    assert [column.missing for column in signature.columns or ()] == ["NaN", "None"]
    assert [column.nullable for column in signature.columns or ()] == [False, True]


@pytest.mark.parametrize("encoder", ["one-hot", "ordinal", "target"])
def test_null_is_nan_where_the_training_data_had_nan(encoder: str) -> None:
    for dtype in (object, "str"):
        X = table([np.nan if value is None else value for value in COLORS], dtype)
        estimator = encoded(ENCODERS[encoder]).fit(X, LABELS)
        assert (check(estimator, X).columns or ())[1].missing == "NaN"


@pytest.mark.parametrize("encoder", ["one-hot", "ordinal", "target"])
@pytest.mark.parametrize("nested", [True, False])
def test_none_in_arrays_of_objects(encoder: str, nested: bool) -> None:
    X = np.array([[color, float(number)] for color, number in zip(COLORS, range(60), strict=True)], dtype=object)
    if nested:
        estimator = encoded(ENCODERS[encoder], [0]).fit(X, LABELS)
    else:
        X = X[:, :1]
        estimator = make_pipeline(ENCODERS[encoder], LogisticRegression()).fit(X, LABELS)
    assert (check(estimator, X).columns or ())[0].missing == "None"


def test_each_column_of_an_array_has_its_own_word_for_missing() -> None:
    nan = [np.nan if value is None else value for value in COLORS]
    X = np.array([COLORS, nan], dtype=object).T
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(X, LABELS)
    assert [column.missing for column in check(estimator, X, compiled=True).columns or ()] == ["None", "NaN"]


@pytest.mark.parametrize("values", [FLAGS, COUNTS], ids=["flags", "counts"])
@pytest.mark.parametrize("missing", [None, np.nan], ids=str)
@pytest.mark.parametrize("encoder", ["one-hot", "ordinal", "target"])
def test_numbers_and_booleans_among_objects_stay_objects(values: list[Any], missing: Any, encoder: str) -> None:
    X = table([missing if value is None else value for value in values])
    estimator = encoded(ENCODERS[encoder]).fit(X, LABELS)
    column = (check(estimator, X, compiled=encoder == "one-hot").columns or ())[1]
    assert (column.datatype, column.boxed, column.missing) == (
        "BOOL" if values is FLAGS else "FP64",
        True,
        "None" if missing is None else "NaN",
    )


def test_an_array_of_numbers_among_objects_is_packed_and_compiled_as_such(tmp_path: Path) -> None:
    X = np.array([[float(at), None if at % 3 else at] for at in range(60)], dtype=object)
    estimator = make_pipeline(SimpleImputer(), LogisticRegression(max_iter=500)).fit(X, LABELS)
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=X)
    signature = check(
        estimator, X, declared_from(parse_metadata((folder / "metadata.json").read_bytes())), compiled=True
    )
    assert (signature.datatype, signature.dtype) == ("FP64", np.dtype(object))


def test_an_imputer_of_none_among_numbers() -> None:
    X = table(COUNTS)
    estimator = encoded(SimpleImputer(missing_values=None, strategy="most_frequent")).fit(X, LABELS)
    assert (check(estimator, X).columns or ())[1].missing == "None"


class Absent(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Foreign code that knows None alone."""

    def fit(self, X: Any, y: Any = None) -> "Absent":
        self.feature_names_in_ = np.array(list(X.columns), dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        return np.array([[-1.0 if value is None else float(len(value))] for value in X["c"]])


def test_metadata_tells_what_no_encoder_does() -> None:
    X = table()
    estimator = make_pipeline(Absent(), LogisticRegression()).fit(X, LABELS)
    columns = (DeclaredColumn("n", "FP64"), DeclaredColumn("c", "BYTES", missing="None"))
    check(estimator, X, Declared(columns=columns))


def test_where_nothing_tells_nan_is_tried_and_then_none() -> None:
    X = table()
    estimator = make_pipeline(Absent(), LogisticRegression()).fit(X, LABELS)
    columns = (DeclaredColumn("n", "FP64"), DeclaredColumn("c", "BYTES"))
    assert (check(estimator, X, Declared(columns=columns)).columns or ())[1].missing == "None"
    texts = [None, "good", "bad", "bad"] * 5
    model = make_pipeline(CountVectorizer(preprocessor=text_or_nothing), LogisticRegression()).fit(
        texts, [0, 1, 0, 0] * 5
    )
    signature = infer_signature(model)
    assert [(column.nullable, column.missing) for column in signature.columns or ()] == [(True, "None")]
    codec = V1Codec(signature, max_rows=9, model="m", version="1")
    for decode in (partial(codec.decode, []), codec._reference_request):
        rows = decode(b'{"instances": [null, "good"]}').rows
        answers = SklearnPredictor(model, signature).predict(rows, ("predict_proba",))["predict_proba"]
        np.testing.assert_array_equal(answers, model.predict_proba([None, "good"]))


def text_or_nothing(text: str | None) -> str:
    return "" if text is None else text.lower()


@pytest.mark.parametrize("values", [FLAGS, [value is True for value in FLAGS]], ids=["gaps", "whole"])
@pytest.mark.parametrize("dtype", ["boolean", "bool", "object"])
def test_true_and_false_come_as_such_whatever_held_them(values: list[Any], dtype: Any, tmp_path: Path) -> None:
    if dtype == "bool" and None in values:
        values = [value is True for value in values]
    X = table(values, dtype)
    part = SimpleImputer(strategy="most_frequent") if dtype == "boolean" else OneHotEncoder()
    estimator = make_pipeline(ColumnTransformer([("c", part, ["c"])], remainder="passthrough"), LogisticRegression())
    estimator.fit(X, LABELS)
    check(estimator, X)  # bare
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=X)
    declared = declared_from(parse_metadata((folder / "metadata.json").read_bytes()))
    signature = check(estimator, X, declared)
    assert [column.datatype for column in signature.columns or ()] == ["FP64", "BOOL"]


@pytest.mark.parametrize("framed", [True, False])
def test_a_table_of_booleans_for_an_array_is_declared_as_such(framed: bool, tmp_path: Path) -> None:
    X: Any = np.random.default_rng(0).random((60, 3)) < 0.5
    estimator = LogisticRegression().fit(X, LABELS)
    sample = pd.DataFrame(X, columns=["a", "b", "c"]) if framed else X
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=sample)
    signature = infer_signature(estimator, declared_from(parse_metadata((folder / "metadata.json").read_bytes())))
    assert (signature.datatype, signature.dtype) == ("BOOL", np.dtype(bool))
    for shape in (infer_signature(estimator), signature):
        rows = V1Codec(shape, max_rows=99, model="m", version="1").decode(
            [], json.dumps({"instances": X.tolist()}).encode()
        )
        answers = SklearnPredictor(estimator, shape).predict(rows.rows, ("predict",))["predict"]
        assert answers.tolist() == estimator.predict(X).tolist()


def test_true_is_one_in_every_carrier_and_body_size() -> None:
    estimator = LogisticRegression().fit(np.array([[0.0, 1.0], [1.0, 0.0]] * 30), LABELS)
    signature = infer_signature(estimator)
    codec = V2Codec(signature, max_rows=9999, model="m", version="1")
    rows: list[list[Any]] = [[True, 0.25], [False, True]] * 2500
    for count in (1, 2, 5000):
        tensor = {"name": "input", "shape": [count, 2], "datatype": "FP64", "data": rows[:count]}
        body = json.dumps({"inputs": [tensor]}).encode()
        for decode in (partial(codec.decode, []), codec._reference_request):
            (block,) = decode(body).rows.blocks
            assert block.dtype == np.float64
            assert block.tolist() == [[float(one) for one in row] for row in rows[:count]]


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_a_package_keeps_the_word_for_missing(tmp_path: Path, encoder: str) -> None:
    X = table()
    estimator = encoded(ENCODERS[encoder]).fit(X, LABELS)
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=X)
    metadata = parse_metadata((folder / "metadata.json").read_bytes())
    assert [one.missing for one in metadata.inputs or ()] == [None, "None"]
    check(estimator, X, declared_from(metadata))


def test_a_passthrough_of_objects_is_packed_with_what_the_sample_holds(tmp_path: Path) -> None:
    X = table()
    estimator = ColumnTransformer([("c", "passthrough", ["c"])]).fit(X)
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=X)
    declared = declared_from(parse_metadata((folder / "metadata.json").read_bytes()))
    check(estimator, X, declared)


def test_packing_compares_every_output_and_names_the_column(tmp_path: Path) -> None:
    X = table()
    estimator = encoded(OneHotEncoder(handle_unknown="ignore")).fit(X, LABELS)
    other = X.assign(c=X["c"].where(X["c"].notna(), np.nan).astype(object))
    assert estimator.predict(X).tolist() == estimator.predict(other).tolist()  # only the probabilities tell
    told = "column 'c' holds NaN where a value is missing, and the estimator was fitted with None: row 3, output pre"
    with pytest.raises(PackageRefused, match=told):
        write_package(estimator, name="m", version="1", repository=tmp_path, sample=other)
    both = X.assign(c=pd.Series([*COLORS[:59], np.nan], dtype=object))
    estimator = encoded(OneHotEncoder(handle_unknown="ignore")).fit(both, LABELS)
    with pytest.raises(PackageRefused, match="column 'c' holds None and NaN, which no request can tell apart"):
        write_package(estimator, name="m", version="1", repository=tmp_path, sample=both)
