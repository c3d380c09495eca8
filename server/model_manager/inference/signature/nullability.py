"""Which columns take a missing value: tried out on the estimator, one prediction at a time. Unproven is refused."""

import time
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import DTYPES, Column, Layout, Rows, Signature

MAX_COLUMNS: Final = 512
BUDGET_S: Final = 2.0


def find_nullable(
    accepts: Callable[[Rows], object],
    example: Rows,
    signature: Signature,
    undecided: Iterable[int],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> frozenset[int]:
    """Say which of the undecided columns take NaN: all at once if that works, else each alone.

    `accepts` predicts and raises what the estimator raises. Gives up after 512 columns or two seconds.
    """
    candidates = [index for index in undecided if can_hold_missing(signature, index)]
    if not candidates:
        return frozenset()
    deadline = clock() + BUDGET_S
    # Missing values are expected to upset some estimators: their warnings are no news to anyone.
    with warnings_dropped():
        if _works(accepts, _with_missing(example, candidates, signature)):
            return frozenset(candidates)
        found: set[int] = set()
        for index in candidates[:MAX_COLUMNS]:
            if clock() > deadline:
                break
            if _works(accepts, _with_missing(example, [index], signature)):
                found.add(index)
    return frozenset(found)


def can_hold_missing(signature: Signature, index: int) -> bool:
    """Whether the column's dtype has a NaN at all: floats and strings have, integers and booleans have not."""
    assert signature.columns is not None, "columns are known where they are tried out"
    column: Column = signature.columns[index]
    datatype = column.datatype if signature.layout is Layout.FRAME else signature.datatype
    return DTYPES[datatype].kind in "fO"


def _works(accepts: Callable[[Rows], object], rows: Rows) -> bool:
    try:
        accepts(rows)
    except Exception:
        return False
    return True


def _with_missing(example: Rows, indices: Iterable[int], signature: Signature) -> Rows:
    blocks = [block[:1].copy() for block in example.blocks]
    for index in indices:
        if signature.layout is Layout.FRAME:
            blocks[index][0] = np.nan
        elif signature.layout is Layout.ARRAY:
            blocks[0][0, index] = np.nan
        else:
            blocks[0][0] = np.nan
    return Rows(tuple(blocks))
