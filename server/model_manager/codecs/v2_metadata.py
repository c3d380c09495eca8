"""Signature → the tensors of V2's model metadata, as the Open Inference Protocol describes them."""

from typing import Any

from model_manager.codecs.moments import DATES
from model_manager.signature import Column, Layout, Signature


def describe_inputs(signature: Signature) -> list[dict[str, Any]]:
    """Describe the input tensors for model metadata: one per FRAME column, or one for the whole."""
    if signature.layout is Layout.FRAME:
        return [
            _described(column.name, column.datatype, [-1], _column_parameters(column))
            for column in signature.columns or ()
        ]
    if signature.layout is Layout.TEXT:
        return [_described(signature.tensor, "BYTES", [-1], {})]
    columns = signature.columns
    if columns is None:
        return [_described(signature.tensor, signature.datatype, [-1, -1], {})]
    parameters: dict[str, Any] = {}
    if signature.named:
        parameters["columns"] = [column.name for column in columns]
    if any(column.nullable for column in columns):
        parameters["nullable"] = [column.nullable for column in columns]
    if any(column.categories for column in columns):
        parameters["categories"] = [list(column.categories) for column in columns]
    return [_described(signature.tensor, signature.datatype, [-1, len(columns)], parameters)]


def describe_outputs(signature: Signature) -> list[dict[str, Any]]:
    """Describe the output tensors for model metadata."""
    return [
        _described(
            output.name,
            output.datatype,
            list(output.shape),
            {"classes": list(output.classes)} if output.classes else {},
        )
        for output in signature.outputs
    ]


def _column_parameters(column: Column) -> dict[str, Any]:
    parameters: dict[str, Any] = {"nullable": True} if column.nullable else {}
    if column.moments is not None:
        parameters["content_type"] = DATES
    if column.categories:
        parameters["categories"] = list(column.categories)
    return parameters


def _described(name: str, datatype: str, shape: list[int], parameters: dict[str, Any]) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if parameters:
        tensor["parameters"] = parameters
    return tensor
