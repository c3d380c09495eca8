"""Where the trees of an ensemble decide → a fair choice of these places, at which a form is held to scikit-learn."""

from typing import Final

import numpy as np

from model_manager.signature import Array

MAX_THRESHOLDS: Final = 4000


def choose_thresholds(features: Array, thresholds: Array) -> tuple[tuple[int, float], ...]:
    """Choose at most MAX_THRESHOLDS pairs, evenly, from parallel (nodes,) arrays of features and thresholds.

    Infinite thresholds only ask whether a value is missing, and are none.
    """
    finite = np.flatnonzero(np.isfinite(thresholds))
    chosen = finite[np.linspace(0, len(finite) - 1, min(len(finite), MAX_THRESHOLDS)).astype(np.intp)]
    return tuple(sorted(set(zip(features[chosen].tolist(), thresholds[chosen].tolist(), strict=True))))
