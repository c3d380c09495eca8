"""A model to warm up with: what libraries import and remember when they are used for the first time, they do before.

In the flow: template → serving.proving → **here**. A worker that is forked afterwards shares it.
"""

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_manager.inference.estimator_files import dump_estimator


def small_model() -> bytes:
    """Fit a model of a table with numbers and words, as an artifact."""
    table = pd.DataFrame({"number": [0.0, 1.0, 2.0, 3.0], "word": ["a", "b", "a", "b"]})
    columns = make_column_transformer((StandardScaler(), ["number"]), (OneHotEncoder(), ["word"]))
    return dump_estimator(make_pipeline(columns, LogisticRegression()).fit(table, ["no", "yes", "no", "yes"]))
