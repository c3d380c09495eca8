"""Every array that an estimator holds, however deep: what it weighs, and the values it was fitted to."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_manager.signature import Array


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


def arrays_within(estimator: Any) -> Iterator[Array]:
    """Yield every array, those of scikit-learn's native trees among them."""
    for part in parts_within(estimator):
        if isinstance(part, np.ndarray) and part.dtype != object:
            yield part
        elif type(part).__name__ == "Tree" and hasattr(part, "children_left"):
            yield from (part.children_left, part.threshold, part.value)
        elif hasattr(part, "toarray") and isinstance(getattr(part, "data", None), np.ndarray):
            yield part.data
