"""What two versions differ in: inputs, outputs, data, libraries, evaluation, estimator. Pure.

In the flow: `diff` → description → **here**.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

Change = Literal["added", "removed", "changed"]

_TENSORS: Final = ("inputs", "outputs")
_OF_THE_PLACE: Final = ("name", "version", "created", "golden", "baseline")
"""What tells one package from another, and what follows from its model and data: no difference to tell."""


class Difference(msgspec.Struct, frozen=True):
    """One thing in which B differs from A. `of`: the part, such as "inputs"; `what`: its name in it.

    `by`: B minus A, where both are numbers.
    """

    of: str
    what: str
    change: Change
    a: Any = None
    b: Any = None
    by: float | None = None


def flattened(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The leaves of nested mappings, by dotted names; lists are leaves."""
    leaves: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            leaves += flattened(value, f"{prefix}{name}.")
        else:
            leaves.append((f"{prefix}{name}", value))
    return leaves


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Compare two descriptions, each as metadata.json has it, with a part `estimator` where that was looked into.

    A part that only one side knows at all counts as added or removed as a whole.
    """
    found: list[Difference] = []
    for of in _TENSORS:
        found += _compared(of, _by_name(a.get(of)), _by_name(b.get(of)))
    rest = [part for part in dict.fromkeys((*a, *b)) if part not in _TENSORS and part not in _OF_THE_PLACE]
    for of in rest:
        found += _compared(of, _leaves(a.get(of)), _leaves(b.get(of)))
    return found


def _leaves(part: Any) -> dict[str, Any]:
    if part is None:
        return {}
    return dict(flattened(part)) if isinstance(part, Mapping) else {"": part}


def _by_name(tensors: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Each input or output by its name; one tensor of named columns as these columns, which is what people know."""
    if tensors is None:
        return {}
    if len(tensors) == 1 and tensors[0].get("columns") and tensors[0].get("classes") is None:
        tensor = tensors[0]
        plain = {key: value for key, value in tensor.items() if key not in ("columns", "name", "shape")}
        return {str(column): _described(plain) for column in tensor["columns"]}
    return {str(one["name"]): _described(one) for one in tensors}


def _described(tensor: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tensor.items() if key != "name"}


def _compared(of: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for what in dict.fromkeys((*a, *b)):
        if what not in a:
            yield Difference(of, what, "added", None, b[what])
        elif what not in b:
            yield Difference(of, what, "removed", a[what], None)
        elif a[what] != b[what]:
            yield Difference(of, what, "changed", a[what], b[what], _by(a[what], b[what]))
    if list(a) != list(b) and set(a) == set(b) and of == "inputs":
        yield Difference(of, "order", "changed", list(a), list(b))


def _by(a: Any, b: Any) -> float | None:
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (a, b))
    return b - a if numbers else None
