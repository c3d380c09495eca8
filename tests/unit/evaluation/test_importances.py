"""What moves a version's answers is said by column, and how answers depend on those that do."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_manager import write_package
from model_manager.evaluation.evaluating import evaluate
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.evaluation.staging import homes, with_prices, with_sold


def test_a_straight_line_is_told_by_its_slope(tmp_path: Path) -> None:
    table = with_prices(homes(300, seed=1))
    model = LinearRegression().fit(table[["größe", "age"]], table["price"])
    folder = write_package(model, name="price", version="1", repository=tmp_path, sample=table[["größe", "age"]])
    told = evaluate(folder, table, target="price", resamples=0, importances=True).curves["importances"]
    assert (told["method"], told["unit"], told["rows"]) == ("linear", "value", 100)
    size, age = told["columns"]
    assert (size["column"], age["column"]) == ("größe", "age")
    assert size["mean"] == pytest.approx(3 * 30 * 0.8, rel=0.25), "three for each of some 24 square metres on average"
    line = told["dependence"][0]
    slope, _ = np.polyfit(line["values"], line["answers"][0], 1)
    assert slope == pytest.approx(model.coef_[0])
    assert "importances" not in evaluate(folder, table, target="price", resamples=0).curves


def test_words_have_a_mean_answer_each_and_zip_codes_keep_their_zero(tmp_path: Path) -> None:
    table = with_sold(homes(300, seed=2))
    X = table[["größe", "zip"]]
    front = ColumnTransformer([("zip", OneHotEncoder(handle_unknown="ignore"), ["zip"])], remainder="passthrough")
    model = make_pipeline(front, KNeighborsClassifier(5)).fit(X, table["sold"])
    folder = write_package(model, name="sold", version="1", repository=tmp_path, sample=X)
    told = evaluate(folder, table, target="sold", resamples=0, importances=True).curves["importances"]
    assert (told["method"], told["columns"][0]["column"]) == ("subsets", "größe")
    words = next(one for one in told["dependence"] if one["column"] == "zip")
    assert sorted(words["values"]) == ["01234", "20095", "80331"]
    assert words["of"] == ["yes"]
    everywhere = model.predict_proba(X.assign(zip="01234").iloc[:100])[:, 1].mean()
    assert words["answers"][0][words["values"].index("01234")] == pytest.approx(everywhere, abs=0.1)


def test_what_is_not_explained_says_why(tmp_path: Path) -> None:
    texts = pd.DataFrame({"text": ["buy now", "see you", "buy more", "you there"] * 5})
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts["text"], [1, 0] * 10)
    folder = write_package(model, name="spam", version="1", repository=tmp_path, sample=texts["text"].tolist())
    told = evaluate(folder, texts.assign(label=[1, 0] * 10), target="label", resamples=0, importances=True)
    assert "by column" in told.curves["importances"]["why"]
