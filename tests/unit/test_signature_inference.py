"""inference/signature/infer.py: what an estimator takes and gives, from itself, metadata and trying."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import LoadFailed
from model_manager.inference.signature.infer import infer_signature
from model_manager.signature import Column, Declared, DeclaredColumn, DeclaredTensor, Layout, Output, Rows, Signature
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from tests.unit.zoo import ARRAY, CHURN, FRAME, LABELS, NUMBERS, QUANTITY, SPAM, TEXTS, ZOO, encode_and_scale

LOGISTIC = LogisticRegression(max_iter=500).fit(ARRAY, LABELS)
BOOSTING = HistGradientBoostingRegressor(max_iter=3).fit(NUMBERS, QUANTITY)
ON_FRAME = make_pipeline(encode_and_scale(), LogisticRegression()).fit(FRAME, CHURN)
ON_TEXT = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, SPAM)


def columns_of(signature: Signature) -> dict[str, Column]:
    assert signature.columns is not None
    return {column.name: column for column in signature.columns}


def refusal(estimator: Any, declared: Declared) -> str:
    with pytest.raises(LoadFailed) as caught:
        infer_signature(estimator, declared)
    assert caught.value.reason == "metadata_invalid"
    return str(caught.value)


def declared_columns(*names: str) -> Declared:
    return Declared(columns=tuple(DeclaredColumn(name, "FP64") for name in names))


def test_a_column_transformer_tells_types_categories_and_gaps() -> None:
    assert columns_of(infer_signature(ON_FRAME)) == {
        "age": Column("age", "FP64", nullable=True),
        "city": Column("city", "BYTES", nullable=True, categories=("bern", "graz", "linz")),
        "visits": Column("visits", "FP64", nullable=True),
        # OrdinalEncoder refuses what it has not seen, and a passed-through gap reaches the logistic regression.
        "plan": Column("plan", "BYTES", categories=("free", "paid")),
        "member": Column("member", "FP64"),
    }


@pytest.mark.parametrize(
    ("transformer", "data", "datatype", "categories"),
    [
        (OneHotEncoder(), ["a", "b", None], "BYTES", ("a", "b")),
        (OrdinalEncoder(), [1, 2, 2], "INT64", (1, 2)),
        (OrdinalEncoder(), [1.5, 2.5, np.nan], "FP64", (1.5, 2.5)),
        (OneHotEncoder(), [True, False, True], "BOOL", (False, True)),
        (SimpleImputer(strategy="most_frequent"), ["a", "a", None], "BYTES", ()),
        (SimpleImputer(), [1, 2, 3], "FP64", ()),
        (
            make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder()),
            ["a", "b", "?"],
            "BYTES",
            3,
        ),
        (make_pipeline(FunctionTransformer(), "passthrough", OneHotEncoder()), ["a", "b", "c"], "BYTES", 3),
        (make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler()), ["a", "b", "c"], "BYTES", 3),
        (
            FeatureUnion([("s", SimpleImputer(strategy="most_frequent")), ("o", OneHotEncoder(sparse_output=False))]),
            ["a", "b", "c"],
            "BYTES",
            3,
        ),
        (OneHotEncoder(), [f"v{number}" for number in range(1001)], "BYTES", ()),
        (ColumnTransformer([("inner", OneHotEncoder(), ["c"])]), ["a", "b", "c"], "BYTES", 3),
        (ColumnTransformer([("kept", "passthrough", ["c"])]), ["a", "b", "c"], "FP64", ()),
    ],
)
def test_transformers_tell_a_columns_type(transformer: Any, data: list[Any], datatype: str, categories: Any) -> None:
    frame = pd.DataFrame({"c": data})
    outer = ColumnTransformer([("part", transformer, ["c"])])
    for estimator in (transformer, outer, make_pipeline(outer)):
        column = columns_of(infer_signature(estimator.fit(frame)))["c"]
        assert column.datatype == datatype
        assert column.categories == categories or len(column.categories) == categories


def test_a_text_column_of_a_frame_is_strings() -> None:
    specimen = ZOO["text-column"]
    columns = columns_of(infer_signature(specimen.make().fit(specimen.X, specimen.y)))
    assert (columns["text"].datatype, columns["length"].datatype) == ("BYTES", "FP64")


def test_an_array_has_one_datatype() -> None:
    assert infer_signature(LOGISTIC).datatype == "FP64"
    encoder = OneHotEncoder().fit(np.array([[1, 2], [3, 4]]))
    signature = infer_signature(encoder)
    assert (signature.datatype, columns_of(signature)["1"].categories) == ("FP64", (2, 4))
    mixed = ColumnTransformer([("s", OneHotEncoder(), [0]), ("n", SimpleImputer(), [1])])
    signature = infer_signature(mixed.fit(np.array([["a", 1.0], ["b", 2.0]], dtype=object)))
    assert signature.datatype == "BYTES"
    assert [column.datatype for column in columns_of(signature).values()] == ["BYTES", "FP64"]
    tensor = DeclaredTensor("x", "BYTES", 2)
    assert infer_signature(mixed, Declared(tensor=tensor)).columns == signature.columns


def test_metadata_names_an_arrays_columns() -> None:
    names = ("a", "b", "c", "d")
    signature = infer_signature(LOGISTIC, declared_columns(*names))
    assert (signature.layout, signature.named) == (Layout.ARRAY, True)
    assert tuple(columns_of(signature)) == names
    signature = infer_signature(LOGISTIC, Declared(tensor=DeclaredTensor("measures", "FP32", 4, names, False)))
    assert (signature.layout, signature.named) == (Layout.ARRAY, True)
    assert tuple(columns_of(signature)) == names
    assert (signature.tensor, signature.datatype) == ("measures", "FP32")


def test_metadata_decides_types_and_gaps() -> None:
    columns = [DeclaredColumn(str(name), "FP64", nullable=False) for name in FRAME.columns]
    columns[1] = DeclaredColumn("city", "BYTES", nullable=True)
    columns[2] = DeclaredColumn("visits", "INT64", nullable=True)
    columns[3] = DeclaredColumn("plan", "BYTES", None, ("free",))
    found = columns_of(infer_signature(ON_FRAME, Declared(columns=tuple(columns))))
    assert found["age"] == Column("age", "FP64", nullable=False)
    assert found["city"] == Column("city", "BYTES", nullable=True, categories=("bern", "graz", "linz"))
    assert found["visits"] == Column("visits", "INT64", nullable=True)
    assert found["plan"] == Column("plan", "BYTES", nullable=False, categories=("free",))
    tensor = DeclaredTensor("input", "FP64", 5, tuple(map(str, FRAME.columns)), nullable=False)
    assert not any(
        column.nullable for column in columns_of(infer_signature(ON_FRAME, Declared(tensor=tensor))).values()
    )


@pytest.mark.parametrize(
    ("estimator", "declared", "told"),
    [
        (ON_FRAME, declared_columns("age", "town", "visits", "plan", "member"), "column 'town' is declared"),
        (ON_FRAME, declared_columns("age", "city", "visits", "plan"), "column 'member' is missing"),
        (
            ON_FRAME,
            declared_columns("age", "city", "plan", "visits", "member"),
            "column 2 is 'plan'; .* 'visits' there",
        ),
        (ON_FRAME, declared_columns("age", "city", "visits", "plan", "member", "age"), "'age' is declared twice"),
        (ON_FRAME, Declared(tensor=DeclaredTensor("input", "FP64", 4)), "4 columns are declared; .* fitted with 5"),
        (ON_FRAME, Declared(tensor=DeclaredTensor("input", "FP64", None, ("a", "b", "c", "d", "e"))), "column 'a'"),
        (LOGISTIC, declared_columns("a", "b", "c"), "3 columns are declared; the estimator was fitted with 4"),
        (LOGISTIC, declared_columns("a", "b", "c", "d", "e"), "5 columns are declared, from 'e' on too many"),
        (LOGISTIC, declared_columns("a", "b", "c", "b"), "column 'b' is declared twice"),
        (LOGISTIC, Declared(tensor=DeclaredTensor("input", "FP64", 2)), "2 columns are declared"),
        (LOGISTIC, Declared(tensor=DeclaredTensor("input", "FP64", 4, ("a", "b", "a", "c"))), "'a' is declared twice"),
        (ON_TEXT, declared_columns("subject", "body"), "takes one string a row"),
        (LOGISTIC, Declared(outputs=(Output("predict_probs", "FP64", (-1,)),)), "did you mean 'predict_proba'"),
        (LOGISTIC, Declared(outputs=(Output("xyz", "FP64", (-1,)),)), "'xyz' is declared; the estimator has predict,"),
    ],
)
def test_metadata_that_contradicts_the_estimator_is_refused(estimator: Any, declared: Declared, told: str) -> None:
    assert re.search(told, refusal(estimator, declared))


def test_metadata_chooses_and_orders_outputs() -> None:
    declared = Declared(outputs=(Output("predict_proba", "FP32", (-1,)), Output("predict", "BYTES", (-1,))))
    signature = infer_signature(LOGISTIC, declared)
    labels = ("setosa", "versicolor", "virginica")
    assert signature.outputs == (
        Output("predict_proba", "FP64", (-1, 3), labels),
        Output("predict", "BYTES", (-1,), labels),
    )
    assert signature.default_output == "predict_proba"


def test_text_is_one_unnamed_string_unless_metadata_names_it() -> None:
    assert infer_signature(ON_TEXT).columns == (Column("0", "BYTES"),)
    named = infer_signature(ON_TEXT, Declared(columns=(DeclaredColumn("body", "BYTES"),)))
    assert (named.columns, named.named, named.tensor) == ((Column("body", "BYTES"),), True, "body")
    tensor = infer_signature(ON_TEXT, Declared(tensor=DeclaredTensor("mail", "BYTES", nullable=False)))
    assert (tensor.tensor, tensor.columns) == ("mail", (Column("0", "BYTES"),))


def test_outputs_are_described_by_their_answers() -> None:
    outputs = {name: infer_signature(one.make().fit(one.X, one.y)).outputs for name, one in ZOO.items() if name in USED}
    assert outputs["logistic-int"][0] == Output("predict", "INT64", (-1,), (0, 1, 2))
    assert outputs["logistic-bool"] == (
        Output("predict", "BOOL", (-1,), (False, True)),
        Output("predict_proba", "FP64", (-1, 2), (False, True)),
        Output("decision_function", "FP64", (-1,)),
    )
    assert outputs["several-labels"][1] == Output(
        "predict_proba_0", "FP64", (-1, 3), ("setosa", "versicolor", "virginica")
    )
    assert outputs["several-labels"][2].classes == ("large", "small")
    assert outputs["several-numbers"] == (Output("predict", "FP64", (-1, 2)),)
    assert outputs["means"] == (
        Output("predict", "INT32", (-1,)),
        Output("transform", "FP64", (-1, 3), columns=("kmeans0", "kmeans1", "kmeans2")),
    )


USED = {"logistic-int", "logistic-bool", "several-labels", "several-numbers", "means"}


class Widthless(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of one's own that does not say how many columns it takes, and likes no zeros."""

    def __init__(self, labels: Any = ("a", "b")) -> None:
        self.labels = labels

    def fit(self, X: Any, y: Any = None) -> "Widthless":
        self.classes_ = np.array(self.labels)
        return self

    def predict(self, X: Any) -> Any:
        if not np.all(X):
            raise ValueError("a zero")
        return self.classes_[np.zeros(len(X), dtype=int)]

    def predict_proba(self, X: Any) -> Any:
        if not np.all(X):
            raise ValueError("a zero")
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    def decision_function(self, X: Any) -> Any:
        raise ValueError("never")

    def transform(self, X: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("labels", "datatype"),
    [(("a", "b", "c"), "BYTES"), ((1, 2, 3), "INT64"), ((0.5, 1.5), "FP64"), ((False, True), "BOOL")],
)
def test_what_cannot_be_tried_is_guessed(labels: Any, datatype: str) -> None:
    signature = infer_signature(Widthless(labels).fit(ARRAY))
    assert (signature.layout, signature.columns, signature.named) == (Layout.ARRAY, None, False)
    assert [output.name for output in signature.outputs] == [
        "predict",
        "predict_proba",
        "decision_function",
        "transform",
    ]
    assert signature.outputs[0] == Output("predict", datatype, (-1,), labels)  # type: ignore[arg-type]
    assert signature.outputs[1] == Output("predict_proba", "FP64", (-1, len(labels)), labels)
    tensor = DeclaredTensor("input", "FP64", 3)
    tried = infer_signature(Widthless(labels).fit(ARRAY), Declared(tensor=tensor))
    assert len(columns_of(tried)) == 3
    # A made-up row proves nothing, but NotImplementedError does.
    assert [output.name for output in tried.outputs] == ["predict", "predict_proba", "decision_function"]


def test_golden_rows_are_better_than_made_up_ones() -> None:
    rows = Rows((np.array([[1.0, np.nan], [0.0, 0.0]]),))
    signature = infer_signature(Widthless().fit(ARRAY), golden_rows=lambda draft: rows)
    assert [output.name for output in signature.outputs] == ["predict", "predict_proba"]
    assert signature.columns is None


def test_golden_rows_are_decoded_with_gaps_allowed_everywhere() -> None:
    drafts: list[Signature] = []

    def golden(draft: Signature) -> Rows:
        drafts.append(draft)
        return Rows((ARRAY[:2],))

    signature = infer_signature(LOGISTIC, golden_rows=golden)
    assert all(column.nullable for column in columns_of(drafts[0]).values())
    assert not any(column.nullable for column in columns_of(signature).values())


def test_an_estimator_of_dictionaries_says_what_to_do_instead() -> None:
    estimator = make_pipeline(DictVectorizer(), LogisticRegression()).fit([{"a": 1}, {"b": 2}], [0, 1])
    with pytest.raises(
        LoadFailed, match="its first step, DictVectorizer, takes dictionaries; fit it on a DataFrame"
    ) as caught:
        infer_signature(estimator)
    assert caught.value.reason == "not_a_model"


def test_classes_that_raise_are_no_classes() -> None:
    assert infer_signature(IsolationForest(n_estimators=3).fit(ARRAY)).outputs[0].classes == ()
