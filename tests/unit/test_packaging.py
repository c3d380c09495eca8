"""server/model_manager/packaging/package.py: what is written is what the loader reads, whole or not at all."""

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import PackageRefused
from model_manager.inference.estimator_files import SKLEARN_VERSION, dump_estimator, load_estimator
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import describe_data, write_artifact, write_package
from model_manager.packaging.publishing import publish
from model_manager.repository.metadata import Evaluation, Metadata, declared_from, parse_metadata
from model_manager.signature import Signature
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from tests.unit.zoo import ARRAY, CHURN, FRAME, LABELS, NUMBERS, QUANTITY, SPAM, TEXTS, ZOO, encode_and_scale


class Constant(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Does not say how many columns it takes."""

    def predict(self, X: Any) -> Any:
        return np.ones(len(X))


MOMENT = datetime.datetime(2026, 11, 2, tzinfo=datetime.UTC)


def written(tmp_path: Path, estimator: Any, **more: Any) -> tuple[Path, Metadata]:
    folder = write_package(estimator, **{"name": "model", "version": "1", "repository": tmp_path, **more})
    return folder, parse_metadata((folder / "metadata.json").read_bytes())


def served(folder: Path, metadata: Metadata) -> Signature:
    """Do what a server does with a package, golden rows included."""
    with open(folder / "model.joblib", "rb") as file:
        estimator = load_estimator(file, library_mismatch="refuse").estimator
    golden = metadata.golden
    signature = infer_signature(
        estimator,
        declared_from(metadata),
        golden_rows=(lambda draft: rows_from_instances(golden.instances, draft)) if golden else None,
    )
    if golden is not None:
        rows = rows_from_instances(golden.instances, signature)
        check_golden(SklearnPredictor(estimator, signature), rows, golden.outputs)
    return signature


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_estimator_of_the_zoo_survives_the_way_into_a_server(tmp_path: Path, name: str) -> None:
    specimen = ZOO[name]
    folder, metadata = written(tmp_path, specimen.make().fit(specimen.X, specimen.y), sample=specimen.X)
    signature = served(folder, metadata)
    assert metadata.golden is not None
    assert [output.name for output in signature.outputs] == list(metadata.golden.outputs)
    assert len(metadata.golden.instances) == 3


def test_metadata_says_it_all(tmp_path: Path) -> None:
    table = FRAME.assign(churn=CHURN)
    folder, metadata = written(
        tmp_path,
        make_pipeline(encode_and_scale(), LogisticRegression()).fit(FRAME, CHURN),
        sample=FRAME,
        data=describe_data(table, uri="file:///customers.csv", git_commit="0" * 40),
        evaluation=Evaluation(dataset="hold-out", rows=10, metrics={"accuracy": 0.9}),
        created=MOMENT,
    )
    artifact = (folder / "model.joblib").read_bytes()
    stated = json.loads((folder / "metadata.json").read_text())
    assert stated["created"] == "2026-11-02T00:00:00Z"
    assert stated["framework"] == {"name": "scikit-learn", "version": SKLEARN_VERSION}
    assert stated["artifact"] == {
        "file": "model.joblib",
        "sha256": hashlib.sha256(artifact).hexdigest(),
        "bytes": len(artifact),
    }
    assert stated["inputs"] == [
        {"name": "age", "datatype": "FP64", "nullable": True},
        {"name": "city", "datatype": "BYTES", "nullable": True, "categories": ["bern", "graz", "linz"]},
        {"name": "visits", "datatype": "INT64", "nullable": False},
        {"name": "plan", "datatype": "BYTES", "nullable": False, "categories": ["free", "paid"]},
        {"name": "member", "datatype": "BOOL", "nullable": False},
    ]
    assert stated["outputs"][0] == {
        "name": "predict",
        "datatype": "BYTES",
        "shape": [-1],
        "classes": ["leaves", "stays"],
    }
    assert stated["data"]["sha256"] == hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
    assert (stated["data"]["rows"], stated["data"]["columns"]) == (60, 6)
    assert stated["evaluation"]["metrics"] == {"accuracy": 0.9}
    first = stated["golden"]["instances"][0]
    assert (first["age"], first["city"], first["member"]) == (None, None, bool(FRAME["member"][0]))
    assert stated["baseline"]["features"]["plan"]["values"] == FRAME["plan"].value_counts().index.tolist()
    assert set(stated["baseline"]["outputs"]) == {
        "predict",
        "predict_proba[0]",
        "predict_proba[1]",
        "decision_function",
    }
    assert served(folder, metadata).named


def test_an_array_is_one_tensor_that_may_name_its_columns(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    _, metadata = written(tmp_path, GaussianNB().fit(ARRAY, LABELS), sample=ARRAY, columns=names)
    assert metadata.model_dump(exclude_none=True)["inputs"] == [
        {"name": "input", "datatype": "FP64", "shape": [-1, 4], "columns": names, "nullable": False}
    ]
    assert metadata.golden is not None
    assert metadata.golden.instances[0] == ARRAY[0].tolist()
    assert metadata.baseline is not None
    assert set(metadata.baseline.features) == set(names)


def test_a_frame_names_the_columns_of_an_estimator_that_was_fitted_on_an_array(tmp_path: Path) -> None:
    frame = pd.DataFrame(ARRAY, columns=["a", "b", "c", "d"])
    _, metadata = written(tmp_path, GaussianNB().fit(ARRAY, LABELS), sample=frame)
    assert metadata.model_dump(exclude_none=True)["inputs"][0]["columns"] == ["a", "b", "c", "d"]


def test_an_array_of_strings_and_numbers_keeps_both(tmp_path: Path) -> None:
    mixed = np.array([["a", 1.0], ["b", 2.0], ["a", 3.0]], dtype=object)
    estimator = ColumnTransformer([("s", OneHotEncoder(), [0]), ("n", SimpleImputer(), [1])]).fit(mixed)
    folder, metadata = written(tmp_path, estimator, sample=mixed, columns=["kind", "size"])
    assert metadata.model_dump(exclude_none=True)["inputs"] == [
        {"name": "kind", "datatype": "BYTES", "nullable": False, "categories": ["a", "b"]},
        {"name": "size", "datatype": "FP64", "nullable": True},
    ]
    assert served(folder, metadata).datatype == "BYTES"
    frame = pd.DataFrame({"kind": ["a", "b"], "size": [1.0, 2.0]})
    write_artifact(dump_estimator(estimator), name="model", version="2", repository=tmp_path, sample=frame)
    write_artifact(dump_estimator(estimator), name="model", version="3", repository=tmp_path, sample=mixed)


def test_a_frame_estimator_takes_an_array_as_its_sample(tmp_path: Path) -> None:
    frame = pd.DataFrame(ARRAY, columns=["a", "b", "c", "d"])
    _, metadata = written(tmp_path, GaussianNB().fit(frame, LABELS), sample=ARRAY)
    assert metadata.golden is not None
    assert list(metadata.golden.instances[0]) == ["a", "b", "c", "d"]
    with pytest.raises(PackageRefused, match="the sample has 3 columns; the estimator was fitted with 4"):
        written(tmp_path, GaussianNB().fit(frame, LABELS), version="2", sample=ARRAY[:, :3])


def test_scores_of_three_dimensions_have_no_baseline(tmp_path: Path) -> None:
    _, metadata = written(tmp_path, FunctionTransformer(np.atleast_3d).fit(ARRAY), sample=ARRAY)
    assert metadata.baseline is not None
    assert metadata.baseline.outputs == {}


def test_text_is_a_tensor_of_one_dimension(tmp_path: Path) -> None:
    specimen = ZOO["text"]
    _, metadata = written(tmp_path, specimen.make().fit(TEXTS, SPAM), sample=pd.DataFrame({"mail": TEXTS}))
    assert metadata.model_dump(exclude_none=True)["inputs"] == [
        {"name": "input", "datatype": "BYTES", "shape": [-1], "nullable": False}
    ]
    assert metadata.golden is not None
    assert metadata.golden.instances[0] == TEXTS[0]


def test_without_a_sample_only_the_signature_is_known(tmp_path: Path) -> None:
    _, metadata = written(tmp_path, LinearRegression().fit(NUMBERS, QUANTITY), columns=[f"c{n}" for n in range(10)])
    assert (metadata.golden, metadata.baseline) == (None, None)
    assert metadata.model_dump()["inputs"][0]["columns"][0] == "c0"
    assert metadata.created is not None
    _, metadata = written(tmp_path / "unnamed", LinearRegression().fit(NUMBERS, QUANTITY))
    assert metadata.model_dump()["inputs"][0]["columns"] is None
    _, metadata = written(tmp_path / "widthless", Constant())
    assert metadata.inputs is None
    with pytest.raises(PackageRefused, match="2 column names for 10 columns"):
        written(tmp_path / "misnamed", LinearRegression().fit(NUMBERS, QUANTITY), columns=["a", "b"])


def test_the_same_fit_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [
        written(tmp_path / str(number), GaussianNB().fit(ARRAY, LABELS), sample=ARRAY, created=MOMENT)[0]
        for number in range(2)
    ]
    for file in ("model.joblib", "metadata.json"):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


def test_an_artifact_that_exists_is_packed_as_it_is(tmp_path: Path) -> None:
    artifact = dump_estimator(GaussianNB().fit(ARRAY, LABELS))
    folder = write_artifact(artifact, name="model", version="1", repository=tmp_path, sample=ARRAY)
    assert (folder / "model.joblib").read_bytes() == artifact
    plain = write_package(GaussianNB().fit(ARRAY, LABELS), name="model", version="2", repository=tmp_path, compress=0)
    assert (plain / "model.joblib").read_bytes() == artifact


@pytest.mark.parametrize(
    ("column", "datatype"),
    [
        (pd.Series([1, 2, 3] * 4, dtype="Int64"), "INT64"),
        (pd.Series([1, None, 3] * 4, dtype="Int64"), "INT64"),
        (pd.Series([1, 2, 3] * 4, dtype="float32"), "FP32"),
        (pd.Series([1, 2, 3] * 4, dtype="category"), "INT64"),
        (pd.Series([1, None, 3] * 4, dtype="category"), "INT64"),
        (pd.Series([1, None, 3] * 4, dtype="object"), "FP64"),
        (pd.Series([True, False, True] * 4), "BOOL"),
        (pd.Series([True, None, True] * 4, dtype="object"), "BOOL"),
    ],
)
def test_a_columns_dtype_becomes_its_datatype(tmp_path: Path, column: "pd.Series[Any]", datatype: str) -> None:
    frame = pd.DataFrame({"c": column, "d": range(12)})
    fitted = frame.astype({"c": "float64"})
    folder, metadata = written(tmp_path, HistGradientBoostingRegressor(max_iter=2).fit(fitted, range(12)), sample=frame)
    assert metadata.model_dump()["inputs"][0]["datatype"] == datatype
    served(folder, metadata)


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        (FRAME.drop(columns="city"), "column 'city' is missing"),
        (FRAME.assign(age=pd.Timestamp(0)), "would not serve: predict raised DTypePromotionError"),
        (FRAME.assign(city=[1, "a"] * 30), "column 'city' holds mixed-integer values"),
        (FRAME.assign(plan=1), "would not serve: predict raised TypeError"),
        (FRAME.head(0), "the sample has no rows"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused(tmp_path: Path, sample: Any, told: str) -> None:
    estimator = make_pipeline(encode_and_scale(), LogisticRegression()).fit(FRAME, CHURN)
    with pytest.raises(PackageRefused, match=told):
        write_package(estimator, name="model", version="1", repository=tmp_path, sample=sample)
    assert not list(tmp_path.rglob("*"))


def test_an_array_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    estimator = GaussianNB().fit(ARRAY, LABELS)
    with pytest.raises(PackageRefused, match="the sample has 1 dimensions"):
        write_package(estimator, name="model", version="1", repository=tmp_path, sample=ARRAY[0])
    with pytest.raises(PackageRefused, match="3 columns are declared; the estimator was fitted with 4"):
        write_package(estimator, name="model", version="1", repository=tmp_path, sample=ARRAY[:, :3])
    with pytest.raises(PackageRefused, match="could not convert string to float"):
        write_package(estimator, name="model", version="1", repository=tmp_path, sample=[list("abcd")])  # type: ignore[list-item]


def test_an_estimator_that_would_not_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageRefused, match="model/1 would not serve: the KMeans in the artifact is not fitted"):
        write_package(KMeans(), name="model", version="1", repository=tmp_path)
    with pytest.raises(PackageRefused, match="would not serve: the artifact does not unpickle: EOFError"):
        write_artifact(b"", name="model", version="1", repository=tmp_path)


def test_what_only_the_training_script_knows_is_refused(tmp_path: Path) -> None:
    def double(X: Any) -> Any:
        return X * 2

    double.__module__, double.__qualname__ = "__main__", "double"
    main: Any = __import__("__main__")
    main.double = double
    try:
        with pytest.raises(PackageRefused, match="a class or function of the script that is running"):
            write_package(FunctionTransformer(double).fit(ARRAY), name="model", version="1", repository=tmp_path)
    finally:
        del main.double


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    folder, _ = written(tmp_path, GaussianNB().fit(ARRAY, LABELS))
    before = (folder / "metadata.json").read_bytes()
    with pytest.raises(PackageRefused, match="1 exists; a version is never overwritten"):
        written(tmp_path, GaussianNB().fit(ARRAY, LABELS))
    with pytest.raises(PackageRefused, match="cannot be published"):
        publish(tmp_path, "model", "1", {"model.joblib": b""})
    assert (folder / "metadata.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


@pytest.mark.parametrize(("name", "version"), [("", "1"), ("a b", "1"), ("../x", "1"), ("m", ".tmp"), ("m", "1/2")])
def test_names_that_would_not_do_in_a_url_are_refused(tmp_path: Path, name: str, version: str) -> None:
    with pytest.raises(PackageRefused, match="is not letters"):
        write_package(GaussianNB().fit(ARRAY, LABELS), name=name, version=version, repository=tmp_path)
