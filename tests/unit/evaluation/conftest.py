"""One package of every task, trained once, and the tables to evaluate them on."""

from pathlib import Path

import pandas as pd
import pytest
from model_manager import DataInfo, write_package
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression

from tests.unit.evaluation.staging import homes, with_prices, with_sold


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions `sold/1` (two classes), `kind/1` (three), `price/1` (a quantity) and `odd/1` (anomalies)."""
    folder = tmp_path_factory.mktemp("repository")
    X = homes(400, seed=1)
    numbers = X[["größe", "age"]]
    sold = with_sold(X)["sold"]
    data = DataInfo(uri="homes.csv", sha256="0" * 64, rows=400, columns=3, target="sold")
    kinds = pd.qcut(X["größe"], 3, labels=["flat", "house", "villa"]).astype(object)
    price = with_prices(X)["price"]
    models = {
        "sold": LogisticRegression().fit(numbers, sold),
        "kind": LogisticRegression(max_iter=1000).fit(numbers, kinds),
        "price": LinearRegression().fit(numbers, price),
        "odd": IsolationForest(n_estimators=20, random_state=0).fit(numbers),
    }
    for name, model in models.items():
        described = data if name == "sold" else None
        write_package(model, name=name, version="1", repository=folder, sample=numbers, data=described)
    return folder
