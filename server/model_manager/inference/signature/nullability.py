"""Which columns take a missing value: tried out on the estimator, one prediction at a time. Unproven is refused."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from model_manager.inference.warning_filters import warnings_filtered
from model_manager.signature import Layout, Rows, Signature

MAX_COLUMNS: Final = 512
BUDGET_S: Final = 2.0


def find_nullable(
    accepts: Callable[[Rows], object],
    example: Rows,
    signature: Signature,
    undecided: Sequence[int],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> frozenset[int]:
    """Say which of the undecided columns take a missing value: all at once if that works, else each alone.

    Their blocks hold floats, moments or objects. `accepts` predicts and raises what the estimator raises. Gives up
    after 512 columns or two seconds.
    """
    if not undecided:
        return frozenset()
    deadline = clock() + BUDGET_S
    # Missing values are expected to upset some estimators: their warnings are no news to anyone.
    with warnings_filtered("ignore", Warning):
        if _works(accepts, _with_missing(example, undecided, signature)):
            return frozenset(undecided)
        found: set[int] = set()
        for index in undecided[:MAX_COLUMNS]:
            if clock() > deadline:
                break
            if _works(accepts, _with_missing(example, [index], signature)):
                found.add(index)
    return frozenset(found)


def _works(accepts: Callable[[Rows], object], rows: Rows) -> bool:
    try:
        accepts(rows)
    except Exception:
        return False
    return True


def _with_missing(example: Rows, indices: Iterable[int], signature: Signature) -> Rows:
    blocks = [block[:1].copy() for block in example.blocks]
    assert signature.columns is not None, "columns are tried out where they are known"
    for index in indices:
        missing = signature.columns[index].missing_value
        if signature.layout is Layout.FRAME:
            blocks[index][0] = missing
        elif signature.layout is Layout.ARRAY:
            blocks[0][0, index] = missing
        else:
            blocks[0][0] = missing
    return Rows(tuple(blocks))
