"""Every part that an estimator holds, however deep: its steps, its members, and what they were fitted to."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def parts_within(estimator: Any) -> Iterator[Any]:
    """Yield every object reachable through attributes, lists, tuples, dicts and object arrays, each once."""
    seen: set[int] = set()
    waiting = [estimator]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or part is None or isinstance(part, type | str | bytes | int | float):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            if part.dtype == object:
                waiting.extend(part.ravel().tolist())
        elif not callable(part):
            waiting.extend(getattr(part, "__dict__", {}).values())
