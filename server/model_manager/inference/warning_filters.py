"""Python's warning filters, changed by one thread at a time.

`warnings.catch_warnings` swaps a list that the whole process shares. Loader threads therefore take turns; threads that
predict meanwhile are unaffected by the categories filtered here.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

_turn = threading.Lock()


@contextmanager
def warnings_filtered(action: Literal["error", "ignore"], category: type[Warning]) -> Iterator[None]:
    """Turn warnings of one category into errors, or drop them, inside the block; blocks other threads' blocks."""
    with _turn, warnings.catch_warnings():
        warnings.simplefilter(action, category)
        yield
