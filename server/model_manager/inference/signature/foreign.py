"""Which input columns are read by code that is not scikit-learn's own: of those, nothing tells what they hold."""

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from model_manager.inference.signature.receivers import receivers


def foreign_columns(estimator: Any, width: int) -> list[int]:
    """Positions, in order, of the columns that the first to see them is foreign code."""
    found: set[int] = set()
    for part in receivers(estimator):
        if isinstance(part, ColumnTransformer):
            for name, inner, _ in part.transformers_:
                indices = part._transformer_to_input_indices.get(name, [])
                found.update(indices[at] for at in foreign_columns(inner, len(indices)))
        elif not isinstance(part, Pipeline | FeatureUnion) and _is_foreign(part):
            found.update(range(width))
    return sorted(found)


def _is_foreign(part: Any) -> bool:
    if isinstance(part, FunctionTransformer):
        return part.func is not None and not isinstance(part.func, np.ufunc)
    return type(part).__module__.partition(".")[0] != "sklearn"
