"""Which parts of an estimator see the rows as the client sends them: itself, and the first of whatever it wraps."""

from collections.abc import Iterator
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline

from model_manager.inference.methods import METHODS

_FITTED = ("best_estimator_", "calibrated_classifiers_", "estimators_", "estimator_", "regressor_")
"""Where meta-estimators keep what they fitted; `estimators_` comes early: an ensemble's `estimator_` is unfitted."""


def receivers(estimator: Any) -> Iterator[Any]:
    """Yield the estimator, then every part inside it that is given the same rows, outermost first."""
    if isinstance(estimator, str) or estimator is None:  # "passthrough", "drop"
        return
    yield estimator
    if isinstance(estimator, Pipeline):
        yield from receivers(next((step for _, step in estimator.steps if step not in (None, "passthrough")), None))
    elif isinstance(estimator, FeatureUnion):
        for _, part in estimator.transformer_list:
            yield from receivers(part)
    else:
        yield from receivers(_wrapped(estimator))


def takes_text(estimator: Any) -> bool:
    """Whether rows are single strings, because the first to see them is a text vectorizer."""
    return any(isinstance(part, CountVectorizer | HashingVectorizer) for part in receivers(estimator))


def kinds_of_receivers(estimator: Any, width: int) -> list[tuple[str, ...]]:
    """Say of each of `width` columns which kinds of transformer a ColumnTransformer gives it to; empty without one."""
    kinds: list[tuple[str, ...]] = [()] * width
    for part in receivers(estimator):
        if isinstance(part, ColumnTransformer):
            for name, transformer, _ in part.transformers_:
                steps = [step for _, step in transformer.steps] if isinstance(transformer, Pipeline) else [transformer]
                kind = tuple(step if isinstance(step, str) else type(step).__name__ for step in steps)
                for index in part._transformer_to_input_indices.get(name, []):
                    kinds[index] += kind
            break
    return kinds


def _wrapped(estimator: Any) -> Any:
    attributes = getattr(estimator, "__dict__", {})
    # The parts of a calibrated classifier are no estimators themselves, and keep theirs without the "_".
    fitted = (
        _FITTED if hasattr(estimator, "get_params") and not isinstance(estimator, FrozenEstimator) else ("estimator",)
    )
    for name in fitted:
        inner = attributes.get(name)
        if isinstance(inner, list) and inner:
            inner = inner[0]
        # Only the first member is followed: the others see the same rows, or (in chains) more than the client's.
        if any(hasattr(inner, method) for method in METHODS):
            return inner
    return None
