"""metadata.json: what is read from it, and how a mistake in it is named."""

import json

import pytest
from model_manager.errors import LoadFailed
from model_manager.repository.metadata import ColumnInput, TensorInput, declared_from, parse_metadata
from model_manager.signature import Declared, DeclaredColumn, DeclaredTensor, Output

WHOLE = {
    "name": "iris",
    "version": "3",
    "created": "2026-11-02T10:00:00Z",
    "framework": {"name": "scikit-learn", "version": "1.6.1"},
    "python": "3.12.1",
    "artifact": {"file": "model.joblib", "sha256": "0" * 64, "bytes": 10},
    "inputs": [{"name": "sepal", "datatype": "FP64"}, {"name": "color", "datatype": "BYTES", "categories": ["red"]}],
    "outputs": [{"name": "predict", "datatype": "INT64", "shape": [-1], "classes": [0, 1]}],
    "data": {"uri": "s3://d", "sha256": "1" * 64, "rows": 150, "columns": 4, "git_commit": "abc"},
    "evaluation": {"dataset": "hold-out", "rows": 30, "metrics": {"accuracy": 0.97}},
    "golden": {"instances": [[5.1, "red"]], "outputs": {"predict": [0]}},
    "baseline": {"features": {"sepal": {"edges": [0, 1, 2], "counts": [3, 4]}}, "outputs": {}},
}


def test_a_whole_file_is_read() -> None:
    metadata = parse_metadata(json.dumps(WHOLE).encode())
    assert metadata.framework is not None
    assert metadata.framework.version == "1.6.1"
    assert metadata.inputs == [
        ColumnInput(name="sepal", datatype="FP64"),
        ColumnInput(name="color", datatype="BYTES", categories=["red"]),
    ]


def test_an_empty_object_is_valid() -> None:
    assert parse_metadata(b"{}") == parse_metadata(b'{"inputs": null}')


def test_a_tensor_is_told_from_columns_by_its_shape() -> None:
    metadata = parse_metadata(b'{"inputs": [{"datatype": "FP32", "shape": [-1, 4]}]}')
    assert metadata.inputs == [TensorInput(datatype="FP32", shape=[-1, 4])]


def test_labels_keep_their_types() -> None:
    metadata = parse_metadata(
        b'{"outputs": [{"name": "p", "datatype": "BYTES", "shape": [-1], "classes": [true, 1, 1.5, "1"]}]}'
    )
    assert metadata.outputs is not None
    assert [type(label) for label in metadata.outputs[0].classes or ()] == [bool, int, float, str]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the whole file: Invalid JSON"),
        ("", "the whole file: Invalid JSON"),
        ("[]", "the whole file"),
        ('{"nam": "x"}', "nam: Extra inputs"),
        ('{"artifact": {"file": "x", "sha256": "ABC", "bytes": 1}}', "artifact.sha256"),
        ('{"inputs": [{"name": "x", "datatype": "FP9"}]}', "inputs.columns.0.datatype"),
        ('{"inputs": [{"datatype": "FP9", "shape": [-1]}]}', "inputs.tensor.0.datatype"),
        ('{"inputs": {"name": "x"}}', "inputs.columns: Input should be a valid array"),
        ('{"golden": {"instances": [], "outputs": {}}}', "golden.instances"),
        ('{"framework": {"name": "xgboost", "version": "2"}}', "framework.name"),
    ],
)
def test_a_mistake_is_named_by_its_key(text: str, message: str) -> None:
    with pytest.raises(LoadFailed) as caught:
        parse_metadata(text.encode())
    assert caught.value.reason == "metadata_invalid"
    assert f"metadata.json: {message}" in str(caught.value)


def test_columns_and_outputs_become_plain_values() -> None:
    assert declared_from(parse_metadata(json.dumps(WHOLE).encode())) == Declared(
        columns=(DeclaredColumn("sepal", "FP64", None, ()), DeclaredColumn("color", "BYTES", None, ("red",))),
        tensor=None,
        outputs=(Output("predict", "INT64", (-1,), (0, 1)),),
    )


def test_metadata_that_says_nothing_declares_nothing() -> None:
    assert declared_from(parse_metadata(b"{}")) == Declared(None, None, None)


@pytest.mark.parametrize(
    ("tensor", "width", "columns"),
    [
        ({"shape": [-1]}, None, None),
        ({"shape": [-1, -1]}, None, None),
        ({"shape": [-1, 2]}, 2, None),
        ({"shape": [-1, 2], "columns": ["a", "b"]}, 2, ("a", "b")),
    ],
)
def test_a_tensor_becomes_a_plain_value(
    tensor: dict[str, object], width: int | None, columns: tuple[str, ...] | None
) -> None:
    text = json.dumps({"inputs": [{"datatype": "FP32", **tensor}]}).encode()
    assert declared_from(parse_metadata(text)).tensor == DeclaredTensor("input", "FP32", width, columns, None)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([{"shape": [-1, 2]}, {"shape": [-1, 2]}], "an estimator takes one tensor; declare one"),
        ([{"shape": [3, 2]}], r"\[3, 2\] is not \[-1\] or \[-1, columns\]"),
        ([{"shape": []}], "is not"),
        ([{"shape": [-1, 2, 2]}], "is not"),
        ([{"shape": [-1, 2], "columns": ["a"]}], "1 names for 2 columns"),
    ],
)
def test_a_tensor_no_estimator_takes_is_refused(inputs: list[dict[str, object]], message: str) -> None:
    text = json.dumps({"inputs": [{"datatype": "FP32", **each} for each in inputs]}).encode()
    with pytest.raises(LoadFailed, match=message):
        declared_from(parse_metadata(text))
