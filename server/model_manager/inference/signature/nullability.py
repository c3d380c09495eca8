"""Which columns take a missing value: tried out on the estimator, one prediction at a time. Unproven is refused."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Layout, Rows, Signature

MAX_COLUMNS: Final = 512
BUDGET_S: Final = 2.0
MANY: Final = 64
"""Of more columns than this that are alike, two are tried before all are."""


def find_nullable(
    accepts: Callable[[Rows], object],
    example: Rows,
    signature: Signature,
    undecided: Sequence[int],
    *,
    alike: Sequence[object] = (),
    clock: Callable[[], float] = time.thread_time,
) -> frozenset[int]:
    """Say which of the undecided columns take a missing value: all at once, else those that are alike, else each.

    Their blocks hold floats, moments or objects. `alike` has an equal value for columns that the same kind of part of
    the estimator sees; where many are, and neither the first nor the last takes one, none does. `accepts` predicts and
    raises what the estimator raises. Gives up after 512 columns or two seconds of this thread's processor time: what a
    version takes must not depend on how busy the machine is.
    """
    if not undecided:
        return frozenset()
    deadline = clock() + BUDGET_S

    def take(indices: Sequence[int]) -> bool:
        return _works(accepts, _with_missing(example, indices, signature))

    # Missing values are expected to upset some estimators: their warnings are no news to anyone.
    with warnings_dropped():
        if take(undecided):
            return frozenset(undecided)
        groups = list(_groups(undecided, signature, alike))
        together = [group for group in groups if len(groups) > 1 and clock() <= deadline and take(group)]
        found = {index for group in together for index in group}
        left = MAX_COLUMNS
        for group in groups:
            if group in together or not _worthwhile(group, lambda few: clock() <= deadline and take(few)):
                continue
            for index in group[:left]:
                if clock() > deadline:
                    break
                if take([index]):
                    found.add(index)
            left -= min(left, len(group))
    return frozenset(found)


def _worthwhile(group: Sequence[int], take: Callable[[Sequence[int]], bool]) -> bool:
    """Whether to try every column of a group: not where there are many, and the first and the last do not take it."""
    return len(group) <= MANY or take(group[:1]) or take(group[-1:])


def _groups(undecided: Sequence[int], signature: Signature, alike: Sequence[object]) -> Iterator[list[int]]:
    """The columns of one datatype that the same part sees, in order; the smallest groups first, as they cost least."""
    columns = signature.columns or ()
    groups: dict[object, list[int]] = {}
    for index in undecided:
        part = alike[index] if alike else None
        groups.setdefault((columns[index].datatype, part), []).append(index)
    yield from sorted(groups.values(), key=len)


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
