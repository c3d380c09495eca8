"""Signature → the tensors of V2's model metadata, as the Open Inference Protocol describes them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from model_manager.codecs.moments import DATES
from model_manager.signature import MAX_PUBLIC_CATEGORIES, Column, Layout, Output, Signature

Label: TypeAlias = str | int | float | bool
Public: TypeAlias = Mapping[str, Sequence[Label]]
"""By column, the categories that anybody may see."""


def describe_inputs(signature: Signature, public: Public = MappingProxyType({})) -> list[dict[str, Any]]:
    """Describe the input tensors for model metadata: one per FRAME column, or one for the whole.

    Of the known categories those that are `public` are listed; the others, which may name persons, are counted.
    """
    if signature.layout is Layout.FRAME:
        return [
            _described(column.name, column.datatype, [-1], _column_parameters(column, public))
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
        shown = [_shown(column, public) for column in columns]
        if any(shown):
            parameters["categories"] = shown
        hidden = [len(column.categories) - len(those) for column, those in zip(columns, shown, strict=True)]
        if any(hidden):
            parameters["categories_not_shown"] = hidden
    return [_described(signature.tensor, signature.datatype, [-1, len(columns)], parameters)]


def describe_outputs(signature: Signature) -> list[dict[str, Any]]:
    """Describe the output tensors for model metadata; those that answer only where they are named say so."""
    on_request = frozenset(output.name for output in signature.on_request)
    return [
        _described(
            output.name,
            output.datatype,
            list(output.shape),
            _output_parameters(output, on_request=output.name in on_request),
        )
        for output in signature.offered
    ]


def _output_parameters(output: Output, *, on_request: bool) -> dict[str, Any]:
    parameters: dict[str, Any] = {"classes": list(output.classes)} if output.classes else {}
    if output.columns:
        parameters["columns"] = list(output.columns)
    if output.most_rows is not None:
        parameters["max_rows"] = output.most_rows
    if on_request:
        parameters["on_request"] = True
    return parameters


def _shown(column: Column, public: Public) -> list[Label]:
    chosen = frozenset(public.get(column.name, ()))
    return [value for value in column.categories if value in chosen][:MAX_PUBLIC_CATEGORIES]


def _column_parameters(column: Column, public: Public) -> dict[str, Any]:
    parameters: dict[str, Any] = {"nullable": True} if column.nullable else {}
    if column.moments is not None:
        parameters["content_type"] = DATES
    shown = _shown(column, public)
    if shown:
        parameters["categories"] = shown
    if len(shown) < len(column.categories):
        parameters["categories_not_shown"] = len(column.categories) - len(shown)
    return parameters


def _described(name: str, datatype: str, shape: list[int], parameters: dict[str, Any]) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if parameters:
        tensor["parameters"] = parameters
    return tensor
