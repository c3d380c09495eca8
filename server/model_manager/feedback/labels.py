"""What a caller says was true, and what became of that: the body of `:feedback` → labels; statuses of one label.

In the flow: api/feedback → **labels** → joining, in every process that may hold the answer → the best status counts.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from model_manager.errors import InvalidInput

MOST: Final = 10_000
_LONGEST_ID: Final = 1024

Status: TypeAlias = Literal["joined", "unusable", "ambiguous", "too_late", "not_sampled", "unknown"]
"""Of one label, the more telling first, where several processes were asked.

`unusable`: the answer is here, and has no such row, or the label is none for it. `ambiguous`: the id names several
requests. `too_late`: the answer was here, and is scored already. `not_sampled`: answers of such an id are not kept.
"""
STATUSES: Final[tuple[Status, ...]] = get_args(Status)


class Label(msgspec.Struct, forbid_unknown_fields=True):
    """What was true of one row of a request, told by the request's id."""

    id: str
    label: str | int | float | bool
    row: int = 0


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    labels: list[Label]


def read_labels(body: bytes) -> list[Label]:
    """Read a body: `{"id": …, "label": …}`, or `{"labels": [those]}`. Raises InvalidInput that names the place."""
    try:
        # a batch is told by its key, so that what is wrong in one is said of the place within it
        is_batch = "labels" in msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        labels = msgspec.json.decode(body, type=_Batch).labels if is_batch else [msgspec.json.decode(body, type=Label)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        expected = '{"id": "…", "label": …} or {"labels": [{"id": "…", "label": …, "row": 0}, …]}'
        raise InvalidInput(f"feedback: expected {expected}: {error}") from None
    if len(labels) > MOST:
        raise InvalidInput(f"feedback: labels: {len(labels):,} labels; send at most {MOST:,} at once")
    for number, one in enumerate(labels):
        if not 0 < len(one.id) <= _LONGEST_ID or one.row < 0:
            what = "row is below 0" if one.row < 0 else f"id must have 1 to {_LONGEST_ID} characters"
            raise InvalidInput(f"feedback: labels[{number}]: {what}")
    return labels


def better_of(answers: Sequence[Sequence[Status]]) -> list[Status]:
    """Of every label the most telling status, of what several processes said of the same labels in the same order."""
    return [min(said, key=STATUSES.index) for said in zip(*answers, strict=True)]
