"""Artifacts of other formats than joblib: served as what they were before they were written, or refused with why."""

import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import skops.io
from model_manager.errors import LoadFailed
from model_manager.inference.artifact_formats import load_artifact
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.repository.lifecycle import State
from model_manager.signature import Declared, DeclaredTensor, Layout, Rows, Signature
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tests.unit.manager.staging import running, status
from tools.patience import until

IRIS, LABELS = load_iris(return_X_y=True)
NAMED = load_iris().target_names[LABELS]


def load(content: bytes, format: Any, trusted: tuple[str, ...] = (), most_bytes: int = 2**30) -> Any:
    return load_artifact(
        io.BytesIO(content), format, library_mismatch="refuse", skops_trusted=trusted, most_bytes=most_bytes
    )


def served(content: bytes, format: Any) -> SklearnPredictor:
    loaded = load(content, format)
    declared = {"declared": loaded.declared} if loaded.declared is not None else {}
    return SklearnPredictor(loaded.estimator, infer_signature(loaded.estimator, **declared))


def refusal(content: bytes, format: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(LoadFailed) as caught:
        load(content, format, **options)
    return caught.value.reason, str(caught.value)


def onnx_of(estimator: Any, example: Any = None, *, target_opset: Any = 17, **options: Any) -> bytes:
    example = IRIS[:1].astype(np.float32) if example is None else example
    content: bytes = to_onnx(estimator, example, target_opset=target_opset, **options).SerializeToString()
    return content


def answers(predictor: SklearnPredictor, rows: Any, *outputs: str) -> list[Any]:
    found = predictor.predict(Rows((rows,)), outputs)
    return [found[name] for name in outputs]


def described(signature: Signature) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(one.name, one.datatype, one.shape) for one in signature.outputs]


class TestSkops:
    """What skops writes, of types that skops or the operator trusts."""

    def test_an_estimator_answers_as_it_did(self) -> None:
        model = LogisticRegression(max_iter=500).fit(IRIS, NAMED)
        predictor = served(skops.io.dumps(model), "skops")
        labels, shares = answers(predictor, IRIS, "predict", "predict_proba")
        assert labels.tolist() == model.predict(IRIS).tolist()
        np.testing.assert_array_equal(shares, model.predict_proba(IRIS))

    def test_types_that_nobody_trusts_are_named(self) -> None:
        hostile = make_pipeline(FunctionTransformer(subprocess.getoutput), LinearRegression().fit(IRIS, LABELS))
        reason, told = refusal(skops.io.dumps(hostile), "skops")
        assert reason == "untrusted_types"
        assert told == (
            "it holds types that neither skops nor the operator trusts: subprocess.getoutput; "
            "--skops-trusted names those that are harmless"
        )

    def test_the_operator_may_trust_more(self) -> None:
        forest = RandomForestClassifier(5, random_state=0).fit(IRIS, LABELS)
        content = skops.io.dumps(forest)
        assert "neither skops nor the operator trusts: sklearn.tree._tree.Tree" in refusal(content, "skops")[1]
        again = load(content, "skops", trusted=("another.Type", "sklearn.tree._tree.Tree")).estimator
        assert again.predict(IRIS).tolist() == forest.predict(IRIS).tolist()

    @pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
    def test_what_is_no_skops_file_is_refused(self, content: bytes) -> None:
        reason, told = refusal(content, "skops")
        assert (reason, told.startswith("the artifact is no file of skops.io.dump: ")) == ("corrupt", True)

    def test_a_pickle_is_not_unpickled(self) -> None:
        assert refusal(b"\x80\x04cposix\nsystem\n(V:\ntR.", "skops")[0] == "corrupt"

    def test_nesting_without_end_is_refused(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("schema.json", "[" * 100_000)
        assert refusal(file.getvalue(), "skops")[0] == "corrupt"

    def test_a_bomb_is_refused_by_what_it_says_it_unpacks_to(self) -> None:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("schema.json", bytes(2**24))
        reason, told = refusal(file.getvalue(), "skops", most_bytes=2**20)
        assert (reason, told.startswith("it unpacks to 16,777,216 bytes, and at most 1,048,576")) == ("too_large", True)

    def test_what_another_scikit_learn_wrote_is_told(self) -> None:
        file = io.BytesIO()
        skops.io.dump(StandardScaler().fit(IRIS), file)
        with zipfile.ZipFile(file) as archive:
            schema = archive.read("schema.json").decode()
            others = {each: archive.read(each) for each in archive.namelist() if each != "schema.json"}
        state = StandardScaler().__getstate__()
        assert "_sklearn_version" in state
        old = io.BytesIO()
        with zipfile.ZipFile(old, "w") as archive:
            archive.writestr("schema.json", schema.replace(state["_sklearn_version"], "1.0.1"))
            for name, content in others.items():
                archive.writestr(name, content)
        assert refusal(old.getvalue(), "skops")[0] == "library_mismatch"


class TestOnnx:
    """An ONNX model, answered by ONNX Runtime alone."""

    @pytest.mark.parametrize("zipmap", [True, False])
    def test_a_classifier_answers_labels_and_probabilities(self, zipmap: bool) -> None:
        model = LogisticRegression(max_iter=500).fit(IRIS, NAMED)
        predictor = served(onnx_of(model, options={"zipmap": zipmap}), "onnx")
        assert predictor.form == "onnx"
        signature = predictor.signature
        assert (signature.layout, signature.tensor, signature.datatype) == (Layout.ARRAY, "X", "FP32")
        assert described(signature) == [("predict", "BYTES", (-1,)), ("predict_proba", "FP32", (-1, 3))]
        assert signature.outputs[1].classes == ("setosa", "versicolor", "virginica")
        labels, shares = answers(predictor, IRIS.astype(np.float32), "predict", "predict_proba")
        assert labels.tolist() == model.predict(IRIS).tolist()
        np.testing.assert_allclose(shares, model.predict_proba(IRIS), atol=1e-5)

    def test_metadata_names_its_columns_and_may_not_contradict_it(self) -> None:
        model = load(onnx_of(LogisticRegression(max_iter=500).fit(IRIS, LABELS)), "onnx").estimator
        names = ("a", "b", "c", "d")
        told = Declared(tensor=DeclaredTensor("flower", "FP32", 4, names, nullable=True))
        signature = infer_signature(model, told)
        assert [(one.name, one.nullable) for one in signature.columns or ()] == [(name, True) for name in names]
        with pytest.raises(LoadFailed, match="3 columns are declared; the estimator was fitted with 4"):
            infer_signature(model, Declared(tensor=DeclaredTensor("flower", "FP32", 3)))

    def test_a_regressor_answers_one_number_a_row(self) -> None:
        X, y = load_diabetes(return_X_y=True)
        model = LinearRegression().fit(X, y)
        predictor = served(onnx_of(model, X[:1]), "onnx")
        assert predictor.signature.datatype == "FP64"
        assert described(predictor.signature) == [("predict", "FP64", (-1,))]
        np.testing.assert_allclose(answers(predictor, X, "predict")[0], model.predict(X))

    @pytest.mark.parametrize(
        ("estimator", "outputs"),
        [
            (KMeans(3, random_state=0, n_init=1), ["predict", "decision_function"]),
            (IsolationForest(n_estimators=5, random_state=0), ["predict", "decision_function"]),
            (StandardScaler(), ["predict"]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_other_outputs_have_the_names_of_methods(self, estimator: Any, outputs: list[str]) -> None:
        content = onnx_of(estimator.fit(IRIS), target_opset={"": 17, "ai.onnx.ml": 3})
        assert [one.name for one in served(content, "onnx").signature.outputs] == outputs

    def test_a_table_has_an_input_for_each_column(self) -> None:
        table = pd.DataFrame({"kind": ["a", "b", "a", "c"], "size": [1.0, 2.0, 3.0, 4.0]})
        encoded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), remainder="passthrough")
        model = make_pipeline(encoded, LinearRegression()).fit(table, [1.0, 5.0, 2.0, 9.0])
        types = [("kind", StringTensorType([None, 1])), ("size", FloatTensorType([None, 1]))]
        predictor = served(to_onnx(model, initial_types=types, target_opset=17).SerializeToString(), "onnx")
        columns = predictor.signature.columns or ()
        assert [(one.name, one.datatype, one.nullable) for one in columns] == [
            ("kind", "BYTES", False),
            ("size", "FP32", False),
        ]
        rows = Rows((np.array(["a", "c"], dtype=object), np.array([3, 4], dtype=np.float32)))
        np.testing.assert_allclose(
            predictor.predict(rows, ("predict",))["predict"], model.predict(table.iloc[[2, 3]]), rtol=1e-5
        )

    @pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08", b"\x80\x04cposix\nsystem\n(V:\ntR."])
    def test_what_is_no_onnx_model_is_refused(self, content: bytes) -> None:
        reason, told = refusal(content, "onnx")
        assert (reason, told.startswith("the artifact is no model that ONNX Runtime reads: ")) == ("corrupt", True)

    def test_data_in_another_file_is_not_read(self) -> None:
        weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        weights.external_data.add(key="location", value="../../etc/passwd")
        assert refusal(identity(weights=[weights]), "onnx") == (
            "unsafe",
            "the tensor w is kept in another file; save the model as one file",
        )

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda: identity(shape=[2, 3]), "rows are its first dimension, of any number"),
            (lambda: identity(shape=[None, 3, 4]), "rows are its first dimension"),
            (lambda: identity(kind=TensorProto.FLOAT16), "input x is of the type tensor(float16); served are tensor("),
            (lambda: identity(names=("x", "z")), "of several inputs each is one column"),
            (lambda: identity(outputs=("a", "b")), "its outputs are called a, b; one output, or those that skl2onnx"),
        ],
    )
    def test_what_has_no_rows_and_columns_is_refused(self, change: Callable[[], bytes], told: str) -> None:
        reason, text = refusal(change(), "onnx")
        assert reason == "not_a_model"
        assert told in text


def identity(
    shape: Any = (None, 3),
    kind: int = TensorProto.FLOAT,
    names: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
    weights: Any = (),
) -> bytes:
    """A model that answers its first input."""
    inputs = [helper.make_tensor_value_info(name, kind, list(shape)) for name in names]
    answers = [helper.make_tensor_value_info(name, kind, list(shape)) for name in outputs]
    nodes = [helper.make_node("Identity", [names[0]], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "g", inputs, answers, initializer=list(weights))
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    assert onnx.load_model_from_string(content).graph.name == "g"
    return content


@pytest.mark.parametrize("format", ["skops", "onnx"])
async def test_a_server_serves_it_and_holds_it_to_its_golden_rows(tmp_path: Path, format: str) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS, LABELS)
    content = skops.io.dumps(model) if format == "skops" else onnx_of(model)
    for version, expected in (("1", 0), ("2", 1)):
        folder = tmp_path / "iris" / version
        folder.mkdir(parents=True)
        (folder / f"model.{format}").write_bytes(content)
        golden = {"golden": {"instances": [IRIS[0].tolist()], "outputs": {"predict": [expected]}}}
        (folder / "metadata.json").write_text(json.dumps(golden))
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: status(system, "iris", "1")[0] is State.READY, "the version to serve")
        await until(lambda: status(system, "iris", "2")[0] is State.FAILED, "the other to fail")
        assert status(system, "iris", "2")[1].startswith("golden_mismatch: golden row 0, output predict")
        if format == "onnx":
            assert system.registry.models["iris"].ready["1"].form.name == "onnx"
