"""Warnings that nobody needs, dropped on one thread: other threads go on hearing theirs, and nobody waits for anybody.

`warnings.catch_warnings` swaps a list that the whole process shares, so threads that use it have to take turns, each
for as long as its block lasts: a model that is slow to convert would hold up all others. Here one filter is put into
that list and stays there; whether it counts is up to a flag of the thread that warns.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial


class _Here(threading.local):
    """Whether this thread is inside a block."""

    inside = False


_here = _Here()


class _UpToTheThread(type):
    # Asked whether a warning's category is one of ours. This is getattr with a default that is never needed, so that no
    # Python code runs: the interpreter walks the list of filters without holding on to it, and another thread that got
    # a turn meanwhile could free it.
    __subclasscheck__ = staticmethod(partial(getattr, _here, "inside"))


class _EveryWarningHere(Warning, metaclass=_UpToTheThread):
    """A category that every warning belongs to on threads inside a block, and none belongs to on others."""


@contextmanager
def warnings_dropped() -> Iterator[None]:
    """Drop the warnings of this thread inside the block.

    Works through the lists that scikit-learn makes for the parts of an ensemble: they hold the same categories.
    """
    # Imported modules, and tests, put filters of their own in front, or take ours away with their list.
    if not warnings.filters or warnings.filters[0][2] is not _EveryWarningHere:
        warnings.simplefilter("ignore", _EveryWarningHere)
    before, _here.inside = _here.inside, True
    try:
        yield
    finally:
        _here.inside = before
