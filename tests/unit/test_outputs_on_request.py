"""Outputs that answer only where a request names them: what offers them, what computes them, and what does not."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager import write_package
from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.errors import LoadFailed
from model_manager.inference.compiled.compilation import compile_predictor
from model_manager.inference.estimator_files import load_estimator
from model_manager.inference.golden import check_golden
from model_manager.inference.methods import call
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.repository.metadata import Metadata, declared_from, parse_metadata
from model_manager.signature import Declared, Rows, Signature
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.models import dump
from tests.unit.zoo import ARRAY, LABELS, NUMBERS, QUANTITY

ROWS = Rows((ARRAY[::30],))


class Counting(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Counts what it is asked for."""

    def fit(self, X: Any, y: Any = None) -> "Counting":
        self.n_features_in_ = X.shape[1]
        self.asked = Counter[str]()
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        self.asked["std" if return_std else "predict"] += 1
        return (np.zeros(len(X)), np.ones(len(X))) if return_std else np.zeros(len(X))

    def apply(self, X: Any) -> Any:
        self.asked["apply"] += 1
        return np.zeros((len(X), 3), dtype=int)


class Grouped(BaseEstimator):  # type: ignore[misc]
    """Cannot answer without being told of what groups rows belong to."""

    def fit(self, X: Any, y: Any = None) -> "Grouped":
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any, groups: Any, *, sample_weight: Any, verbose: bool = False) -> Any:
        return np.zeros(len(X))


class Network(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Has methods of the same names that mean something else, or end badly."""

    def __init__(self, ends: BaseException | None = None) -> None:
        self.ends = ends

    def fit(self, X: Any, y: Any = None) -> "Network":
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))

    def apply(self, function: Any) -> Any:
        if self.ends is not None:
            raise self.ends
        return self

    def kneighbors(self, X: Any) -> Any:
        return ["of", "words"]


def names(signature: Signature) -> tuple[list[str], list[str]]:
    return [one.name for one in signature.outputs], [one.name for one in signature.on_request]


def metadata_of(tmp_path: Path, estimator: Any, sample: Any) -> Metadata:
    folder = write_package(estimator, name="model", version="1", repository=tmp_path, sample=sample)
    return parse_metadata((folder / "metadata.json").read_bytes())


def test_nothing_is_computed_that_was_not_asked_for() -> None:
    estimator = Counting().fit(ARRAY)
    signature = infer_signature(estimator)
    assert names(signature) == (["predict"], ["std", "apply"])
    estimator.asked.clear()
    body = b'{"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]}'
    chosen = V2Codec(signature, max_rows=9, model="m", version="1").decode([], body).outputs
    assert chosen == ("predict",)
    assert (
        V1Codec(signature, max_rows=9, model="m", version="1").decode([], b'{"instances": [[1, 2, 3, 4]]}').outputs
        == chosen
    )
    SklearnPredictor(estimator, signature).predict(ROWS, chosen)
    compile_predictor(estimator, SklearnPredictor(estimator, signature), None)
    assert estimator.asked.keys() == {"predict"}


def test_compiled_forms_answer_what_they_can_and_leave_the_rest_to_the_estimator() -> None:
    estimator = RandomForestClassifier(20, random_state=0).fit(ARRAY, LABELS)
    sklearn = SklearnPredictor(estimator, infer_signature(estimator))
    compiled = compile_predictor(estimator, sklearn, None).predictor
    assert compiled.form != "sklearn"
    answers = compiled.predict(ROWS, ("apply", "predict", "predict_log_proba", "predict_proba"))
    assert answers["apply"].tolist() == estimator.apply(*ROWS.blocks).tolist()
    assert answers["predict"].tolist() == estimator.predict(*ROWS.blocks).tolist()
    np.testing.assert_allclose(answers["predict_proba"], estimator.predict_proba(*ROWS.blocks))
    assert np.isneginf(answers["predict_log_proba"]).any()


def test_a_package_lists_them_and_neither_proves_nor_counts_them(tmp_path: Path) -> None:
    estimator = KNeighborsClassifier().fit(ARRAY, LABELS)
    metadata = metadata_of(tmp_path, estimator, ARRAY)
    assert [(one.name, one.on_request) for one in metadata.outputs or ()] == [
        ("predict", None),
        ("predict_proba", None),
        ("kneighbors_indices", True),
        ("kneighbors_distances", True),
    ]
    assert metadata.golden is not None
    assert list(metadata.golden.outputs) == ["predict", "predict_proba"]
    assert metadata.baseline is not None
    assert not any(name.startswith("kneighbors") for name in metadata.baseline.outputs)
    assert names(infer_signature(estimator, declared_from(metadata))) == (
        ["predict", "predict_proba"],
        ["kneighbors_indices", "kneighbors_distances"],
    )


def test_an_author_says_which_are_offered_and_which_always_answer() -> None:
    estimator = make_pipeline(StandardScaler(), BayesianRidge()).fit(NUMBERS, QUANTITY)
    only = declared('{"name": "predict", "datatype": "FP64", "shape": [-1]}')
    assert names(infer_signature(estimator, only)) == (["predict"], [])
    always = declared(*(f'{{"name": "{name}", "datatype": "FP64", "shape": [-1]}}' for name in ("predict", "std")))
    assert names(infer_signature(estimator, always)) == (["predict", "std"], [])
    none = declared('{"name": "std", "datatype": "FP64", "shape": [-1], "on_request": true}')
    with pytest.raises(LoadFailed, match="all are on_request; one must answer requests that name none") as caught:
        infer_signature(estimator, none)
    assert caught.value.reason == "metadata_invalid"


def declared(*outputs: str) -> Declared:
    return declared_from(parse_metadata(f'{{"outputs": [{", ".join(outputs)}]}}'.encode()))


def test_golden_rows_may_hold_one_that_answers_on_request() -> None:
    estimator = NearestNeighbors(n_neighbors=2).fit(ARRAY)
    predictor = SklearnPredictor(estimator, infer_signature(estimator))
    distances, indices = estimator.kneighbors(ARRAY[:1])
    check_golden(predictor, Rows((ARRAY[:1],)), {"kneighbors_indices": indices.tolist()})
    with pytest.raises(LoadFailed, match="golden row 0, output kneighbors_distances"):
        check_golden(predictor, Rows((ARRAY[:1],)), {"kneighbors_distances": (distances + 1).tolist()})


@pytest.mark.parametrize("ends", [None, SystemExit(3), RuntimeError("not this")])
def test_methods_of_the_same_name_with_another_meaning_are_not_offered(ends: BaseException | None) -> None:
    assert names(infer_signature(Network(ends).fit(ARRAY))) == (["predict"], [])


def test_a_method_that_needs_more_than_rows_is_refused_with_what_it_needs() -> None:
    told = (
        "Grouped.predict needs groups, sample_weight besides the rows, and requests hold rows alone; give it a default"
    )
    for estimator in (Grouped().fit(ARRAY), make_pipeline(StandardScaler(), Grouped()).fit(ARRAY)):
        with pytest.raises(LoadFailed, match=re.escape(told)) as caught:
            infer_signature(estimator)
        assert caught.value.reason == "not_a_model"


def test_what_judges_only_the_rows_it_was_fitted_on_is_still_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(dump(LocalOutlierFactor().fit(ARRAY)))
    with path.open("rb") as file, pytest.raises(LoadFailed, match="holds a LocalOutlierFactor, which has none of"):
        load_estimator(file, library_mismatch="refuse")


def test_numbers_of_different_kinds_in_a_dataframe_stay_numbers() -> None:
    table = pd.DataFrame({"price": [1.5, 2.5], "member": [True, False], "visits": pd.array([3, None], dtype="Int64")})
    columns = ColumnTransformer([("same", "passthrough", ["price", "member", "visits"])])
    answer = call(columns.set_output(transform="pandas").fit(table), "transform", table)
    assert isinstance(answer, np.ndarray)
    assert answer.dtype == np.float64
    np.testing.assert_array_equal(answer, [[1.5, 1, 3], [2.5, 0, np.nan]])


def test_probabilities_of_nothing_are_minus_infinity_and_no_warning() -> None:
    estimator = RandomForestClassifier(3, random_state=0).fit(ARRAY, LABELS)
    answer = call(estimator, "predict_log_proba", ARRAY[:1])
    assert np.asarray(answer).tolist() == [[0.0, -np.inf, -np.inf]]
    assert names(infer_signature(LogisticRegression(max_iter=500).fit(ARRAY, LABELS)))[1] == ["predict_log_proba"]
