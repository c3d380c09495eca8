"""Rows and what is to be predicted of them → a fitted estimator, and its scores on rows that it did not see.

In the flow: from_table, and trainers of one model, → **here** → packaging.
"""

from typing import Any, Final

import numpy as np
from sklearn.model_selection import train_test_split

from model_manager.evaluation.scores import label_scores, quantity_scores
from model_manager.inference.threads import limit_native_threads
from model_manager.repository.metadata import Evaluation

SEED: Final = 7
HOLD_OUT: Final = 0.25


def train_and_score(estimator: Any, X: Any, y: Any, *, classification: bool) -> tuple[Any, Evaluation]:
    """Fit on three quarters of the rows and score the rest; return the training X and the scores."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=HOLD_OUT, random_state=SEED, stratify=y if classification else None
    )
    limit_native_threads()  # sums taken by another number of threads differ in their last bits: builds must not
    estimator.fit(X_train, y_train)
    metrics = score(estimator, X_test, y_test, classification=classification)
    kind = "stratified" if classification else "random"
    return X_train, Evaluation(dataset=f"hold-out, {kind}, seed {SEED}", rows=len(X_test), metrics=metrics)


def score(estimator: Any, X: Any, y: Any, *, classification: bool) -> dict[str, float]:
    """Measure accuracy (and for two classes the area under the ROC curve), or R² and the mean absolute error."""
    truth, predicted = np.asarray(y), np.asarray(estimator.predict(X))
    if not classification:
        return quantity_scores(truth, predicted)
    if len(estimator.classes_) != 2:
        return label_scores(truth, predicted)
    chances = estimator.predict_proba(X)[:, 1]
    return label_scores(truth, predicted, positive=estimator.classes_.tolist()[1], chances=chances)
