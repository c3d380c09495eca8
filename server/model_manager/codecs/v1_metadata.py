"""What a version takes and gives in TensorFlow Serving's words: the `signature_def` that `…/metadata` answers."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from model_manager.signature import Datatype, Layout, Output, Signature

_DTYPES: Final[dict[Datatype, str]] = {
    "BOOL": "DT_BOOL",
    "INT8": "DT_INT8",
    "INT16": "DT_INT16",
    "INT32": "DT_INT32",
    "INT64": "DT_INT64",
    "UINT8": "DT_UINT8",
    "UINT16": "DT_UINT16",
    "UINT32": "DT_UINT32",
    "UINT64": "DT_UINT64",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BYTES": "DT_STRING",
}


def signature_defs(signature: Signature) -> dict[str, Any]:
    """One signature by the name of each output, and `serving_default`, which is the first.

    Inputs are the tensor, or one of them a column where the model takes a frame.
    """
    inputs = _inputs(signature)
    named = {output.name: _definition(inputs, output) for output in signature.offered}
    return {"serving_default": named[signature.default_output], **named}


def _inputs(signature: Signature) -> dict[str, Any]:
    if signature.layout is Layout.FRAME:
        return {column.name: _tensor(column.name, column.datatype, (-1,)) for column in signature.columns or ()}
    if signature.layout is Layout.TEXT:
        return {signature.tensor: _tensor(signature.tensor, "BYTES", (-1,))}
    width = -1 if signature.columns is None else len(signature.columns)
    return {signature.tensor: _tensor(signature.tensor, signature.datatype, (-1, width))}


def _definition(inputs: dict[str, Any], output: Output) -> dict[str, Any]:
    return {
        "inputs": inputs,
        "outputs": {output.name: _tensor(output.name, output.datatype, output.shape)},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def _tensor(name: str, datatype: Datatype, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "dtype": _DTYPES[datatype], "tensor_shape": {"dim": _dims(shape), "unknown_rank": False}}


def _dims(shape: Iterable[int]) -> list[dict[str, str]]:
    return [{"size": str(size), "name": ""} for size in shape]
