"""server/model_manager/inference/unsafe_parts.py: a client's text never names a file of the server, or code to run."""

import functools
import io
import os
import pathlib
import pickle
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.errors import LoadFailed, PackageRefused
from model_manager.inference.estimator_files import dump_estimator, load_estimator
from model_manager.packaging.package import write_package
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

LABELS = [0, 1, 0, 1, 0, 1]
TEXTS = ["good news", "bad news"] * 3


def refusal(estimator: Any) -> str:
    with pytest.raises(LoadFailed) as refused:
        load_estimator(io.BytesIO(dump_estimator(estimator)), library_mismatch="refuse")
    assert refused.value.reason == "unsafe"
    return str(refused.value)


def loads(estimator: Any) -> bool:
    return load_estimator(io.BytesIO(dump_estimator(estimator)), library_mismatch="refuse") is not None


@pytest.mark.parametrize("vectorizer", [CountVectorizer, HashingVectorizer, TfidfVectorizer])
def test_a_vectorizer_that_opens_files_is_refused_wherever_it_is(vectorizer: Any, tmp_path: Path) -> None:
    names = []
    for number, text in enumerate(TEXTS):
        names.append(str(tmp_path / str(number)))
        Path(names[-1]).write_text(text)
    by_name = vectorizer(input="filename")
    pipeline = make_pipeline(by_name, LogisticRegression()).fit(names, LABELS)
    expected = f"{vectorizer.__name__}(input='filename') opens files of the server by the names that rows hold"
    assert expected in refusal(pipeline)
    union = FeatureUnion([("a", vectorizer()), ("b", by_name)])
    assert expected in refusal(make_pipeline(union, LogisticRegression()).fit(names, LABELS))
    assert expected in refusal(GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2).fit(names, LABELS))
    table = pd.DataFrame({"name": names, "age": range(6)})
    columns = ColumnTransformer([("text", by_name, "name"), ("rest", StandardScaler(), ["age"])])
    assert expected in refusal(make_pipeline(columns, LogisticRegression()).fit(table, LABELS))
    opened = [open(name) for name in names]  # noqa: SIM115 - what is fitted on
    by_file = make_pipeline(vectorizer(input="file"), LogisticRegression()).fit(opened, LABELS)
    for file in opened:
        file.close()
    assert "(input='file')" in refusal(by_file)
    with pytest.raises(PackageRefused, match=r"would not serve.*input='filename'.*input=\"content\""):
        write_package(pipeline, name="m", version="1", repository=tmp_path / "models")


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (open, "open"), (eval, "builtins.eval"), (os.system, "system"),
        (subprocess.check_output, "subprocess.check_output"),
        (pickle.loads, "_pickle.loads"), (np.load, "numpy.load"), (np.loadtxt, "numpy.loadtxt"),
        (pd.read_csv, "read_csv"), (pd.eval, "eval"), (urllib.request.urlopen, "urllib.request.urlopen"),
        (pathlib.Path.read_text, "pathlib"), (os.path.exists, "genericpath.exists"),
        (functools.partial(np.load, allow_pickle=True), "numpy.load"), (functools.partial(map, open), "open"),
    ],
)  # fmt: skip
def test_functions_that_open_or_run_what_rows_hold_are_refused(function: Any, named: str) -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit([[float(label)] for label in LABELS], LABELS)
    assert named in refusal(pipeline.set_params(standardscaler=FunctionTransformer(function)))


def test_a_tokenizer_and_a_metric_are_looked_at_like_any_other_function() -> None:
    words = make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, LABELS)
    words[0].set_params(preprocessor=open)
    assert "CountVectorizer(preprocessor=" in refusal(words)
    near = KNeighborsClassifier(3).fit([[float(label)] for label in LABELS], LABELS)
    near.metric = np.load
    assert "KNeighborsClassifier(metric=numpy.load)" in refusal(near)
    target = TransformedTargetRegressor(LinearRegression()).fit([[float(label)] for label in LABELS], LABELS)
    target.func = eval
    assert "TransformedTargetRegressor(func=builtins.eval)" in refusal(target)


def test_functions_that_only_compute_are_served() -> None:
    for function in (np.log1p, str.lower, urllib.parse.unquote, os.path.basename, functools.partial(np.clip, a_min=0)):
        assert loads(FunctionTransformer(function))
    assert loads(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS))
