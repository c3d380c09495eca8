"""Estimators that are no scikit-learn's: what is asked of them, shown by classes of our own that behave like them."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.codecs.rows import rows_from_columns, rows_from_instances
from model_manager.codecs.tensors import rows_from_tensors
from model_manager.errors import InvalidInput, LoadFailed, PackageRefused
from model_manager.inference.estimator_files import load_estimator
from model_manager.inference.features import feature_builder
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.package import write_package
from model_manager.repository.metadata import declared_from, parse_metadata
from model_manager.signature import Column, Layout, Output, Rows, Signature
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.models import dump

SIZES = pd.CategoricalDtype(["small", "large", "huge"])
TABLE = pd.DataFrame(
    {
        "price": [1.0, 2.0, 3.0, 4.0],
        "size": pd.Categorical(["huge", "small", None, "large"], dtype=SIZES),
        "grade": pd.Categorical([30, 10, 20, 10]),
    }
)


class CodesOfCategories(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Takes what pandas has of a category, as the boosting libraries do, and tells nothing of it."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "CodesOfCategories":
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: pd.DataFrame) -> Any:
        size, grade = (X[name].cat.codes.astype(int) for name in ("size", "grade"))
        return (X["price"] + 10 * size + 100 * grade).to_numpy()


class ColumnOfLabels(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Answers labels as a column, and does not know its own width, as CatBoost does once it was unpickled."""

    n_features_in_ = 0
    classes_ = np.array(["no", "yes"])

    def predict(self, X: Any) -> Any:
        return np.where(np.asarray(X)[:, :1] > 0, "yes", "no")


class Lengths(BaseEstimator):  # type: ignore[misc]
    """An encoder of strings that nobody knows."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "Lengths":
        self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> Any:
        return np.array([[len(str(value)) for value in row] for row in X.to_numpy()])


class Unfitted(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Says by itself that it is not fitted."""

    def fit(self, X: Any, y: Any) -> "Unfitted":
        return self

    def predict(self, X: Any) -> Any:
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return False


def test_a_pandas_category_is_packed_as_one_and_built_again(tmp_path: Path) -> None:
    estimator = CodesOfCategories().fit(TABLE)
    folder = write_package(estimator, name="m", version="1", repository=tmp_path, sample=TABLE)
    text = (folder / "metadata.json").read_bytes()
    size, grade = json.loads(text)["inputs"][1:]
    assert (size["dtype"], size["categories"], size["nullable"]) == ("category", ["small", "large", "huge"], True)
    assert (grade["dtype"], grade["datatype"], grade["categories"]) == ("category", "INT64", [10, 20, 30])

    with open(folder / "model.joblib", "rb") as file:
        loaded = load_estimator(file, library_mismatch="refuse").estimator
    metadata = parse_metadata(text)
    assert metadata.golden is not None
    golden = metadata.golden.instances
    signature = infer_signature(
        loaded, declared_from(metadata), golden_rows=lambda draft: rows_from_instances(golden, draft)
    )
    instances = [
        {"price": 1.0, "size": "large", "grade": 20},
        {"price": 0.5, "size": None, "grade": 10},
        {"price": 0.0, "size": "tiny", "grade": 30},
    ]
    rows = rows_from_instances(instances, signature)
    answers = SklearnPredictor(loaded, signature).predict(rows, ("predict",))["predict"]
    # Missing is -1 in pandas' codes; a size that fit never saw comes after those that it did.
    assert answers.tolist() == [1 + 10 * 1 + 100 * 1, 0.5 - 10, 10 * 3 + 100 * 2]


def test_whole_numbers_beside_gaps_are_the_same_category() -> None:
    grades = Column("grade", "INT64", nullable=True, categories=(10, 20, 30), categorical=True)
    signature = Signature(Layout.FRAME, (Column("price", "FP64"), grades), True, (Output("predict", "FP64", (-1,)),))
    frame = feature_builder(signature)(rows_from_instances([[1, 30], [2, None]], signature))
    assert list(frame.columns) == ["price", "grade"]
    assert frame["grade"].cat.codes.tolist() == [2, -1]
    assert frame["grade"].cat.categories.tolist() == [10, 20, 30]


def test_a_sample_without_categories_is_refused_by_its_own_fault(tmp_path: Path) -> None:
    plain = TABLE.astype({"size": object})
    with pytest.raises(PackageRefused, match=r"Can only use \.cat accessor with a 'category' dtype"):
        write_package(CodesOfCategories().fit(TABLE), name="m", version="1", repository=tmp_path, sample=plain)


def test_a_width_of_nothing_is_not_known_and_a_column_of_labels_is_one_label_a_row() -> None:
    signature = infer_signature(ColumnOfLabels())
    assert signature.columns is None
    assert signature.outputs[0] == Output("predict", "BYTES", (-1,), ("no", "yes"))
    rows = rows_from_instances([[1.0, 2.0], [-1.0, 0.0]], signature)
    answers = SklearnPredictor(ColumnOfLabels(), signature).predict(rows, ("predict",))
    assert answers["predict"].tolist() == ["yes", "no"]


def test_a_string_for_a_column_of_which_nothing_is_known_is_refused_with_the_way_out() -> None:
    words = pd.DataFrame({"town": ["graz", "bern", "wien", "linz"], "plan": ["a", "bb", "a", "bb"]})
    signature = infer_signature(make_pipeline(Lengths(), LogisticRegression()).fit(words, [0, 1, 0, 1]))
    way_out = (
        "the model does not say what this column holds: pack it with a sample, or declare strings in metadata.json"
    )
    town = {"name": "town", "shape": [1], "datatype": "BYTES", "data": ["graz"]}
    plan = {"name": "plan", "shape": [1], "datatype": "FP64", "data": [1]}
    reads: dict[str, Callable[[], Rows]] = {
        'instances: row 0, column "town": expected a number (FP64), got "graz"': lambda: rows_from_instances(
            [{"town": "graz", "plan": 1}], signature
        ),
        'inputs: column "town": row 0: expected a number (FP64), got "graz"': lambda: rows_from_columns(
            {"town": ["graz"], "plan": [1]}, signature
        ),
        'input "town": expected datatype FP64, got BYTES': lambda: rows_from_tensors(
            [town, plan], signature, max_rows=9
        )[0],
    }
    for fault, read in reads.items():
        with pytest.raises(InvalidInput) as caught:
            read()
        assert str(caught.value) == f"{fault}; {way_out}"


def test_what_takes_numbers_says_so_without_advice() -> None:
    signature = infer_signature(LogisticRegression().fit(TABLE[["price"]], [0, 1, 0, 1]))
    with pytest.raises(InvalidInput) as caught:
        rows_from_instances([{"price": "cheap"}], signature)
    assert str(caught.value) == 'instances: row 0, column "price": expected a number (FP64), got "cheap"'


def test_what_says_itself_that_it_is_not_fitted_is_no_model() -> None:
    with pytest.raises(LoadFailed, match="the Unfitted in the artifact is not fitted; call fit before dump"):
        load_estimator(io.BytesIO(dump(Unfitted())), library_mismatch="refuse")
