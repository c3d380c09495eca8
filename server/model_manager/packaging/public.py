"""Which categories of a package anybody may see: those that many rows hold. A rare one may be a name or an address."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from model_manager.drift import MIN_COUNT
from model_manager.repository.metadata import Metadata
from model_manager.signature import MAX_PUBLIC_CATEGORIES, Layout, Rows, Signature

_SHOWN: Final = 5


def frequent_categories(signature: Signature, rows: Rows) -> dict[str, list[str | int | float | bool]] | None:
    """By column, the known categories that at least MIN_COUNT of the sample's rows hold, in the order they are known.

    At most MAX_PUBLIC_CATEGORIES of a column, the most frequent ones. None where no column has any.
    """
    found: dict[str, list[str | int | float | bool]] = {}
    for at, column in enumerate(signature.columns or ()):
        if not column.categories:
            continue
        block = rows.blocks[at] if signature.layout is Layout.FRAME else rows.blocks[0][:, at]
        counted = Counter(block.tolist())
        frequent = [value for value in column.categories if counted[value] >= MIN_COUNT]
        kept = set(sorted(frequent, key=lambda value: -counted[value])[:MAX_PUBLIC_CATEGORIES])
        if shown := [value for value in frequent if value in kept]:
            found[column.name] = shown
    return found or None


def describe_public(metadata: Metadata) -> list[str]:
    """Say in lines what anybody who can ask a server will see of a package."""
    lines = ["public: the names and types of inputs and outputs, and the labels"]
    for column, values in (metadata.public_categories or {}).items():
        lines.append(f"public: of {column}: {_listing(values)}")
    if metadata.data is not None:
        lines.append(f"public: the training data's digest and {metadata.data.uri}")
    if metadata.evaluation is not None:
        lines.append(f"public: the metrics of its evaluation: {_listing(list(metadata.evaluation.metrics))}")
    return lines


def _listing(values: Sequence[Any]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(map(str, values[:_SHOWN])) + more
