"""Estimators of tables of strings and numbers; True where a form of our own must be found and proven."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from model_manager.signature import Array
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LogisticRegression,
)
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC

from tests.zoo.numbers import SPECIES, fit

STRINGS: Final = ["contract", "region"]


NUMBERS: Final = ["age", "tenure", "charges"]


def _customers(rows: int = 600, seed: int = 0) -> tuple[pd.DataFrame, Array]:
    """A table of strings and numbers with gaps, and a label that depends on both."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "contract": random.choice(["monthly", "yearly", "biennial"], rows),
            "region": random.choice(["north", "south", "östlich", "west"], rows),
            "age": random.normal(46, 16, rows).round(),
            "tenure": random.gamma(2.0, 14.0, rows),
            "charges": random.normal(60, 20, rows),
        }
    )
    score = (table["contract"] == "monthly") * 2 - table["tenure"] / 20 + random.normal(0, 0.5, rows)
    table.loc[random.random(rows) < 0.1, "age"] = np.nan
    return table, np.where(score > 0.3, "leaves", "stays")


def _encoded(head: Any, **encoder: Any) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("strings", OneHotEncoder(**({"handle_unknown": "ignore"} | encoder)), STRINGS), ("numbers", numbers, NUMBERS)]
    )
    return make_pipeline(columns, head)


def _targets(head: Any) -> Pipeline:
    columns = ColumnTransformer(
        [("strings", TargetEncoder(smooth=5.0), STRINGS), ("numbers", SimpleImputer(), NUMBERS)]
    )
    return make_pipeline(columns, head)


def _ordinal(head: Any) -> Pipeline:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(ColumnTransformer([("strings", encoder, STRINGS)], remainder="passthrough"), head)


FRAMES: Final[dict[str, tuple[Any, bool]]] = {
    "one-hot logistic": (_encoded(LogisticRegression()), True),
    "one-hot, drop first": (_encoded(LogisticRegression(), drop="first", handle_unknown="error"), True),
    "one-hot, rare values": (
        _encoded(LogisticRegression(), min_frequency=150, handle_unknown="infrequent_if_exist"),
        True,
    ),
    "one-hot forest": (_encoded(RandomForestClassifier(10, random_state=0)), True),
    "ordinal histogram boosting": (_ordinal(HistGradientBoostingClassifier(max_iter=10, random_state=0)), True),
    "one-hot svc": (_encoded(SVC()), True),
    "one-hot naive bayes": (_encoded(BernoulliNB()), True),
    "one-hot neighbours": (_encoded(KNeighborsClassifier()), True),
    "one-hot vote": (
        _encoded(VotingClassifier([("a", LogisticRegression()), ("b", RandomForestClassifier(5, random_state=0))])),
        True,
    ),
    "vote of pipelines": (
        VotingClassifier(
            [("a", _encoded(LogisticRegression())), ("b", _ordinal(RandomForestClassifier(5, random_state=0)))],
            voting="soft",
        ),
        True,
    ),
    "calibrated pipeline": (CalibratedClassifierCV(_encoded(SVC()), cv=2), True),
    "target encoder": (_targets(LogisticRegression()), True),
    "target encoder and neighbours": (_targets(KNeighborsClassifier(3)), True),
    "strings alone": (ColumnTransformer([("strings", OneHotEncoder(handle_unknown="ignore"), STRINGS)]), True),
    "one-hot layers": (_encoded(MLPClassifier([6], max_iter=60)), True),
}
"""Fitted on a DataFrame of strings and numbers."""


def frames(estimator: Any) -> tuple[Any, Any]:
    return fit(estimator, *_customers())


def _boosting_of_categories() -> tuple[Any, Any]:
    table, y = _customers()
    table[STRINGS] = table[STRINGS].astype("category")
    return fit(HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=5, random_state=0), table, y)


def _targets_of_several() -> tuple[Any, Any]:
    table, _ = _customers()
    return fit(_targets(LogisticRegression(max_iter=900)), table, SPECIES[np.digitize(table["charges"], [50, 70])])


SPECIAL: Final[dict[str, tuple[Callable[[], tuple[Any, Any]], bool]]] = {
    "histogram boosting of categories": (_boosting_of_categories, True),
    "target encoder of several classes": (_targets_of_several, True),
}
"""Each with data of its own."""
