"""Estimators of texts, alone or beside other columns; True where a form of our own must be found and proven."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import (
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from tests.zoo.numbers import fit


def _reviews(*, classes: int = 2) -> tuple[Any, Any]:
    vocabulary = [
        "good",
        "Bad",
        "great",
        "the",
        "awful",
        "film",
        "plot",
        "für",
        "été",
        "don't",
        "x-ray",
        "3.14",
        "日本",
    ]
    words = np.random.default_rng(0).choice(vocabulary, (300, 7))
    X = np.array(["", *(", ".join(row) for row in words[1:])], dtype=object)
    return X, np.array(["no", "yes", "so", "maybe"])[(words[:, :3] < "f").sum(axis=1) % classes]


def _text(*steps: Any, classes: int = 2, number: bool = False) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        X, y = _reviews(classes=classes)
        return fit(make_pipeline(*steps), X, np.char.str_len(y.astype(str)).astype(float) if number else y)

    return make


def _whole_text_calibrated() -> tuple[Any, Any]:
    X, y = _reviews(classes=3)
    return fit(CalibratedClassifierCV(make_pipeline(TfidfVectorizer(), LinearSVC()), cv=2), X, y)


def _text_beside_numbers(head: Any, width: int | None = None) -> Callable[[], tuple[Any, Any]]:
    def make() -> tuple[Any, Any]:
        texts, y = _reviews(classes=3)
        length = np.array([float(len(text)) for text in texts])
        X = pd.DataFrame({"length": length, "review": texts, "town": np.resize(["a", "b", "c"], len(texts))})
        columns = ColumnTransformer(
            [
                ("length", StandardScaler(), ["length"]),
                ("words", TfidfVectorizer(max_features=width), "review"),
                ("town", OneHotEncoder(handle_unknown="ignore"), ["town"]),
            ],
            sparse_threshold=0.0 if width else 1.0,
        )
        return fit(make_pipeline(columns, head), X, y)

    return make


TEXTS: Final[dict[str, tuple[Callable[[], tuple[Any, Any]], bool]]] = {
    "linear": (_text(TfidfVectorizer(), LogisticRegression()), True),
    "naive bayes": (_text(CountVectorizer(), TfidfTransformer(), MultinomialNB()), True),
    "several kinds": (_text(TfidfVectorizer(), ComplementNB(), classes=4), True),
    "word or not": (_text(CountVectorizer(binary=True), BernoulliNB()), True),
    "pairs of words": (
        _text(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LinearSVC(), classes=4),
        True,
    ),
    "letters": (
        _text(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)), SGDClassifier(random_state=0)),
        True,
    ),
    "as it is written": (
        _text(
            TfidfVectorizer(lowercase=False, strip_accents="unicode", stop_words=["the"], norm="l1", use_idf=False),
            RidgeClassifier(),
        ),
        True,
    ),
    "chosen words": (_text(TfidfVectorizer(), SelectKBest(chi2, k=9), LogisticRegression(), classes=3), True),
    "projected": (
        _text(TfidfVectorizer(), TruncatedSVD(4, random_state=0), StandardScaler(), LogisticRegression()),
        True,
    ),
    "calibrated": (_text(TfidfVectorizer(), CalibratedClassifierCV(LinearSVC(), cv=2)), True),
    "calibrated whole": (_whole_text_calibrated, True),
    "one against the rest": (_text(TfidfVectorizer(), OneVsRestClassifier(LinearSVC()), classes=4), True),
    "linear kernel": (_text(TfidfVectorizer(), SVC(kernel="linear"), classes=3), True),
    "layers": (_text(TfidfVectorizer(), MLPClassifier([5], max_iter=30, random_state=0)), True),
    "words and letters": (
        _text(
            FeatureUnion([("a", TfidfVectorizer()), ("b", CountVectorizer(analyzer="char", ngram_range=(1, 2)))]),
            LogisticRegression(max_iter=900),
        ),
        True,
    ),
    "text beside numbers": (_text_beside_numbers(LogisticRegression(max_iter=500)), True),
    "text beside numbers, dense": (_text_beside_numbers(RandomForestClassifier(5, random_state=0), width=3), True),
    "a number": (_text(TfidfVectorizer(), Ridge(), number=True), True),
}
