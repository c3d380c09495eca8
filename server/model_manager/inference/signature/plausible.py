"""Whether any row at all can be predicted: what must be known of columns is not always in an artifact.

Only estimators of other libraries are asked, and what holds a booster of theirs. The row is made up: scikit-learn's own
and people's own may have reasons to refuse it.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from sklearn.pipeline import Pipeline

from model_manager.errors import LoadFailed
from model_manager.inference.features import feature_builder
from model_manager.inference.methods import call, methods_of
from model_manager.inference.signature.other_libraries import NEEDS_DMATRIX, OTHERS, is_raw_booster, library_of
from model_manager.inference.signature.receivers import receivers
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Rows, Signature

_WAY_OUT: Final = (
    "it does not say what its columns hold: pack it with a sample of its rows, or declare them in metadata.json"
)


def refuse_unpredictable(estimator: Any, signature: Signature, example: Rows | None) -> None:
    """Raise LoadFailed("not_a_model") if no method of another library's estimator answers zeros, ones or halves.

    `example` is a row of zeros; None where the number of columns is not known.
    """
    known = any(library_of(part) in OTHERS for part in _parts(estimator))
    if not (known or any(map(is_raw_booster, getattr(estimator, "__dict__", {}).values()))):
        return
    build = feature_builder(signature)
    first: Exception | None = None
    with warnings_dropped():
        for rows in _made_up(example or Rows((np.zeros((1, 1)),))):
            for method in methods_of(estimator):
                try:
                    call(estimator, method, build(rows))
                except Exception as error:
                    first = first or error
                else:
                    return
    text = " ".join(str(first).split())[:300]
    if "DMatrix" in text and isinstance(first, TypeError):
        raise LoadFailed("not_a_model", f"no row can be predicted: {NEEDS_DMATRIX}")
    if known and example is not None:
        raise LoadFailed("not_a_model", f"no row can be predicted, {type(first).__name__}: {text}; {_WAY_OUT}")


def _parts(estimator: Any) -> Iterator[Any]:
    for part in receivers(estimator):
        yield part
        if isinstance(part, Pipeline):
            yield from (step for _, step in part.steps)


def _made_up(example: Rows) -> Iterator[Rows]:
    yield example
    for value in (1, 0.5):
        yield Rows(tuple(np.full_like(b, value) if b.dtype.kind in "iuf" else b for b in example.blocks))
