"""Which scikit-learn wrote an artifact: heard while it is unpickled, on the thread that unpickles it.

scikit-learn tells of it by a warning alone. Filters cannot be relied on to catch that: they belong to the whole
process, and threads that predict meanwhile swap them (scikit-learn does, around each part of a forest). So it is heard
when the warning is made; then it is dropped, since the version's status says the same.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning


class _Listening(threading.local):
    """What this thread has heard in its block, if it is in one, and whether that ends unpickling."""

    heard: list[InconsistentVersionWarning] | None = None
    refuse = False


class _Heard(InconsistentVersionWarning):  # type: ignore[misc]  # scikit-learn is not typed
    """A mismatch that was heard: what the filter drops."""


_listening = _Listening()
_make = InconsistentVersionWarning.__init__


def _make_and_tell(warning: InconsistentVersionWarning, **details: Any) -> None:
    _make(warning, **details)
    if _listening.heard is None:
        return
    _listening.heard.append(warning)
    if _listening.refuse:
        raise warning
    warning.__class__ = _Heard


InconsistentVersionWarning.__init__ = _make_and_tell


@contextmanager
def mismatches_heard(*, refuse: bool) -> Iterator[list[InconsistentVersionWarning]]:
    """List every estimator that this thread unpickles inside the block and that another scikit-learn wrote.

    With `refuse`, the first of them is raised as well, so that the code of the rest does not run.
    """
    if not warnings.filters or warnings.filters[0][2] is not _Heard:
        warnings.simplefilter("ignore", _Heard)
    heard: list[InconsistentVersionWarning] = []
    before = _listening.heard, _listening.refuse
    _listening.heard, _listening.refuse = heard, refuse
    try:
        yield heard
    finally:
        _listening.heard, _listening.refuse = before
