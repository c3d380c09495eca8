"""A model whose answers are not those of its trees: what explains the trees does not explain it."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier


def overrule(classes: int, X: Any) -> Any:
    """The same chances for every row."""
    return np.full((len(X), classes), 1 / classes)


def overruled(X: Any, y: Any) -> DecisionTreeClassifier:
    """A tree with another predict_proba than its own."""
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    model.predict_proba = partial(overrule, len(model.classes_))
    return model
