"""Bytes of an ONNX model → something that predicts as an estimator does, answered by ONNX Runtime alone.

Its inputs are one tensor of numbers or strings, or a tensor for each column; outputs are found by the names that
skl2onnx gives. No code comes with such a file, and nothing outside of it is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, Final

import numpy as np
import pandas as pd

from model_manager.errors import LoadFailed, one_line
from model_manager.signature import DTYPES, Array, Datatype, Declared, DeclaredColumn, DeclaredTensor

_DATATYPES: Final[Mapping[str, Datatype]] = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
_METHODS: Final[Mapping[str, str]] = {
    "label": "predict",
    "output_label": "predict",
    "variable": "predict",
    "probabilities": "predict_proba",
    "output_probability": "predict_proba",
    "scores": "decision_function",
    "transformed_column": "transform",
}
"""What the outputs are called that skl2onnx makes of an estimator's methods."""


class OnnxModel:
    """An ONNX model with the methods that its outputs stand for, and `declared`: what it takes."""

    def __init__(self, session: Any, classes: Sequence[Any]) -> None:
        self._session = session
        self._names = [one.name for one in session.get_inputs()]
        self._dtypes = [DTYPES[_datatype(one)] for one in session.get_inputs()]
        self._is_tensor = len(self._names) == 1 and len(session.get_inputs()[0].shape) == 2
        self._ranks = [len(one.shape) for one in session.get_inputs()]
        self.declared = self._declare(session.get_inputs())
        tensor = self.declared.tensor
        if tensor is not None and tensor.width is not None:
            self.n_features_in_ = tensor.width
        if tensor is None:
            self.feature_names_in_ = np.array(self._names, dtype=object)
        if len(classes):
            self.classes_ = np.array(classes)
        for method, output in _outputs(session.get_outputs()).items():
            setattr(self, method, partial(self._ask, output, method))

    def _declare(self, inputs: Sequence[Any]) -> Declared:
        for one in inputs:
            if not 1 <= len(one.shape) <= 2 or isinstance(one.shape[0], int):
                shape = f"input {one.name} has the shape {one.shape}"
                raise LoadFailed(
                    "not_a_model", f"{shape}; rows are its first dimension, of any number, and columns its second"
                )
        if self._is_tensor:
            (one,) = inputs
            width = one.shape[1] if isinstance(one.shape[1], int) else None
            return Declared(tensor=DeclaredTensor(one.name, _datatype(one), width, nullable=False))
        for one in inputs:
            if one.shape[1:] not in ([], [1]):
                raise LoadFailed(
                    "not_a_model", f"input {one.name} has the shape {one.shape}; of several inputs each is one column"
                )
        return Declared(columns=tuple(DeclaredColumn(one.name, _datatype(one), nullable=False) for one in inputs))

    def _ask(self, output: str, method: str, X: Any) -> Any:
        (answer,) = self._session.run([output], self._feeds(X))
        if isinstance(answer, list):  # one mapping of labels to probabilities for each row
            return np.array([list(row.values()) for row in answer], dtype=np.float32)
        if method != "transform" and answer.ndim == 2 and answer.shape[1] == 1:
            return answer[:, 0]
        return answer

    def _feeds(self, X: Any) -> dict[str, Array]:
        if self._is_tensor:
            return {self._names[0]: np.asarray(X).astype(self._dtypes[0], copy=False)}
        assert isinstance(X, pd.DataFrame)
        return {
            name: X[name].to_numpy(dtype=dtype).reshape(-1, *([1] * (rank - 1)))
            for name, dtype, rank in zip(self._names, self._dtypes, self._ranks, strict=True)
        }


def declared_by(estimator: Any) -> Declared:
    """What an artifact itself says it takes: much of an ONNX model, nothing of another estimator."""
    return estimator.declared if isinstance(estimator, OnnxModel) else Declared()


def read_onnx(file: BinaryIO) -> OnnxModel:
    """Open an ONNX model for one thread.

    Raises LoadFailed: "corrupt", "not_a_model" for inputs and outputs that are no rows and columns, "unsafe" where data
    would be read of other files, or "unsupported_format" without ONNX Runtime.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError:
        message = "serving it needs ONNX Runtime: pip install 'model-manager[compiled]'"
        raise LoadFailed("unsupported_format", message) from None
    content = file.read()
    try:
        model = onnx.load_model_from_string(content)
        if (name := next(_external(model.graph), None)) is not None:
            raise LoadFailed("unsafe", f"the tensor {name} is kept in another file; save the model as one file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # refusals come as exceptions; nothing is printed
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return OnnxModel(session, _labels(model.graph))
    except LoadFailed:
        raise
    except Exception as error:
        raise LoadFailed("corrupt", f"the artifact is no model that ONNX Runtime reads: {one_line(error)}") from error


def _outputs(outputs: Sequence[Any]) -> dict[str, str]:
    """The output of each method, in the order of the model."""
    found = {_METHODS[one.name]: one.name for one in outputs if one.name in _METHODS}
    if not found and len(outputs) == 1:
        return {"predict": outputs[0].name}
    if not found:
        named = ", ".join(one.name for one in outputs)
        message = f"its outputs are called {named}; one output, or those that skl2onnx names ({', '.join(_METHODS)})"
        raise LoadFailed("not_a_model", f"{message}, are served")
    return found


def _datatype(tensor: Any) -> Datatype:
    if tensor.type not in _DATATYPES:
        served = ", ".join(_DATATYPES)
        raise LoadFailed("not_a_model", f"input {tensor.name} is of the type {tensor.type}; served are {served}")
    return _DATATYPES[tensor.type]


def _external(graph: Any) -> Iterator[str]:
    """Name the tensors of a graph, and of the graphs within it, of which the data are in other files."""
    yield from (tensor.name for tensor in graph.initializer if tensor.data_location == tensor.EXTERNAL)
    for node in graph.node:
        for attribute in node.attribute:
            tensors = [attribute.t, *attribute.tensors]
            yield from (node.name for tensor in tensors if tensor.data_location == tensor.EXTERNAL)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _external(inner)


def _labels(graph: Any) -> Sequence[Any]:
    """The classes of a classifier, where a node of the graph lists them."""
    for node in reversed(graph.node):
        for attribute in node.attribute:
            if attribute.name in ("classlabels_strings", "classlabels_string") and attribute.strings:
                return [label.decode() for label in attribute.strings]
            if attribute.name in ("classlabels_ints", "classlabels_int64s") and attribute.ints:
                return list(attribute.ints)
    return ()
