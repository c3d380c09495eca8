"""Every array that an estimator holds, however deep: what it weighs, and the values it was fitted to."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model_manager.inference.parts_within import parts_within
from model_manager.signature import Array


def arrays_within(estimator: Any) -> Iterator[Array]:
    """Yield every array, those of scikit-learn's native trees among them."""
    for part in parts_within(estimator):
        if isinstance(part, np.ndarray) and part.dtype != object:
            yield part
        elif type(part).__name__ == "Tree" and hasattr(part, "children_left"):
            yield from (part.children_left, part.threshold, part.value)
        elif hasattr(part, "toarray") and isinstance(getattr(part, "data", None), np.ndarray):
            yield part.data
