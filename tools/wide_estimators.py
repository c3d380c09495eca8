"""Estimators of very many columns, fitted in a moment: what a load is timed with, by tests and by the benchmark."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def classifier_of_words(count: int = 20_000) -> Any:
    """The last step of a text pipeline by itself: it takes one number for each word that it knows."""
    texts = [" ".join(f"w{at % count}" for at in range(start, start + 40)) for start in range(0, count, 20)]
    weights = TfidfVectorizer().fit_transform(texts)
    return LogisticRegression(max_iter=5).fit(weights, np.arange(len(texts)) % 2)


def pipeline_of_words(count: int = 20_000) -> Any:
    """The same with the vectorizer before it: one string a row."""
    texts = [" ".join(f"w{at % count}" for at in range(start, start + 40)) for start in range(0, count, 20)]
    return make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=5)).fit(texts, np.arange(len(texts)) % 2)


def classifier_of_columns(count: int = 1000) -> Any:
    """Scaled numbers and encoded strings, half and half, in turn."""
    random = np.random.default_rng(0)
    strings = [f"c{at}" for at in range(1, count, 2)]
    numbers = [f"c{at}" for at in range(0, count, 2)]
    table = pd.DataFrame(
        {f"c{at}": random.choice(list("abc"), 60) if at % 2 else random.normal(size=60) for at in range(count)}
    )
    encode = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("numbers", StandardScaler(), numbers), ("strings", encode, strings)])
    return make_pipeline(columns, LogisticRegression()).fit(table, np.arange(60) % 2)
