"""Which parts of an estimator see the rows as the client sends them: itself, and the first of whatever it wraps."""

from collections.abc import Iterator
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline

_WRAPPED = ("best_estimator_", "estimator_", "regressor_", "estimators_", "calibrated_classifiers_", "estimator")
"""Where scikit-learn's meta-estimators keep what they fitted; the last is an inner part of a calibrated classifier."""


def heads(estimator: Any) -> Iterator[Any]:
    """Yield the estimator, then every part inside it that is given the same rows, outermost first."""
    if isinstance(estimator, str) or estimator is None:  # "passthrough", "drop"
        return
    yield estimator
    if isinstance(estimator, Pipeline):
        yield from heads(next((step for _, step in estimator.steps if step not in (None, "passthrough")), None))
    elif isinstance(estimator, FeatureUnion):
        for _, part in estimator.transformer_list:
            yield from heads(part)
    else:
        yield from heads(_wrapped(estimator))


def takes_text(estimator: Any) -> bool:
    """Whether rows are single strings, because the first to see them is a text vectorizer."""
    return any(isinstance(head, CountVectorizer | HashingVectorizer) for head in heads(estimator))


def _wrapped(estimator: Any) -> Any:
    attributes = getattr(estimator, "__dict__", {})
    for name in _WRAPPED:
        inner = attributes.get(name)
        if isinstance(inner, list) and inner:
            inner = inner[0]
        # Only the first member is followed: the others see the same rows, or (in chains) more than the client's.
        if inner is not None and (hasattr(inner, "predict") or hasattr(inner, "transform")):
            return inner
    return None
