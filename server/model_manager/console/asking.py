"""A form made of a version's columns, and what was filled in → the body of a request of V1.

In the flow: profile → **asking** → page → asking → attempt. What is filled in is not judged here: a version's decoder
says what is wrong with it, in the words that every client gets.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from model_manager.serving.profile import Profile

MOST_FIELDS: Final = 120
"""A wider model gets one field of JSON."""
PREFIX: Final = "field-"
ROW: Final = "row"


class Field(NamedTuple):
    """One column of the form. `choices`: what it may be, where anybody may see it; `value`: what it holds at first."""

    key: str
    name: str
    kind: str
    value: str
    choices: Sequence[str] = ()
    optional: bool = False


def fields_of(profile: Profile) -> list[Field]:
    """The columns of a version in their order; none where a row is filled in as JSON."""
    columns = _columns(profile)
    if not columns or len(columns) > MOST_FIELDS:
        return []
    example = profile.example
    values = [*example.values()] if isinstance(example, dict) else example if isinstance(example, list) else [example]
    if len(values) != len(columns):
        return []
    return [
        Field(f"{PREFIX}{at}", name, datatype, _shown(value), [_shown(one) for one in choices], optional)
        for at, ((name, datatype, choices, optional), value) in enumerate(zip(columns, values, strict=True))
    ]


def body_of(profile: Profile, filled: Mapping[str, str]) -> str:
    """The request that asks for the labels and, where there are, the chances of the row that was `filled` in."""
    outputs = [one["name"] for one in profile.outputs if one["name"] in ("predict", "predict_proba")]
    asked = {"outputs": outputs} if outputs else {}
    fields = fields_of(profile)
    if not fields:
        text = filled.get(ROW, "")
        try:
            instance = json.loads(text)
        except ValueError:
            instance = text  # not JSON: the decoder tells
        return json.dumps({"instances": [instance], **asked})
    values = [_value(field, filled.get(field.key, "")) for field in fields]
    row: Any = values
    if isinstance(profile.example, dict):
        row = dict(zip([field.name for field in fields], values, strict=True))
    elif not isinstance(profile.example, list):
        (row,) = values
    return json.dumps({"instances": [row], **asked})


def _columns(profile: Profile) -> list[tuple[str, str, Sequence[Any], bool]]:
    """Name, datatype, public categories and whether nothing may stand there, of each column."""
    if len(profile.inputs) != 1 or len(profile.inputs[0]["shape"]) == 1:
        return [
            (
                one["name"],
                one["datatype"],
                one.get("parameters", {}).get("categories", ()),
                bool(one.get("parameters", {}).get("nullable")),
            )
            for one in profile.inputs
        ]
    tensor = profile.inputs[0]
    width, said = tensor["shape"][1], tensor.get("parameters", {})
    if width < 0:
        return []
    names = said.get("columns") or [str(at) for at in range(width)]
    nullable = said.get("nullable") or [False] * width
    categories = said.get("categories") or [()] * width
    return [(names[at], tensor["datatype"], categories[at], nullable[at]) for at in range(width)]


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _value(field: Field, text: str) -> Any:
    if text == "" and field.kind != "BYTES":
        return None
    if field.kind == "BYTES":
        return None if text == "" and field.optional else text
    if field.kind == "BOOL" and text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
    except ValueError:
        return text
