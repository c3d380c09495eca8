"""A server with a story to tell: a model with two versions under traffic that drifts, one that fails; and a browser."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from model_manager import write_package
from playwright.sync_api import Browser, sync_playwright
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.live import LiveServer, live_server, wait_until

MODEL = "churn"


def chromium() -> str | None:
    """Where the browser is, if it is there."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without windows."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield found
        finally:
            found.close()


def customers(number: int, *, seed: int, drifted: bool = False) -> pd.DataFrame:
    """Rows as the model was trained on, or with longer contracts and higher charges."""
    random = np.random.default_rng(seed)
    contracts = ["month-to-month", "one-year", "two-year"]
    return pd.DataFrame(
        {
            "contract": random.choice(contracts, number, p=[0.1, 0.3, 0.6] if drifted else [0.6, 0.3, 0.1]),
            "tenure_months": random.integers(1, 60, number).astype(float),
            "monthly_charges": random.normal(110 if drifted else 70, 15, number).round(2),
        }
    )


def _repository(folder: Path) -> None:
    data = customers(1500, seed=0)
    leaves = (data["contract"] == "month-to-month") & (data["tenure_months"] < 24)
    columns = make_column_transformer(
        (OneHotEncoder(), ["contract"]), (StandardScaler(), ["tenure_months", "monthly_charges"])
    )
    for version, strength in (("1", 0.1), ("2", 1.0)):
        estimator = make_pipeline(columns, LogisticRegression(C=strength)).fit(data, np.where(leaves, "yes", "no"))
        write_package(estimator, name=MODEL, version=version, repository=folder, sample=data)
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "broken" / "1" / "model.joblib").write_bytes(b"no model")


def ask(server: LiveServer, *, drifted: bool) -> None:
    """Some requests for both versions."""
    for number in range(20):
        rows: list[Any] = customers(20, seed=number, drifted=drifted).to_dict("records")
        server.predict(MODEL, rows, version="12"[number % 2]).raise_for_status()


def asked_until_it_drifts(server: LiveServer) -> bool:
    """Ask some more; whether the server says by now that something drifted, of both versions."""
    ask(server, drifted=True)
    told = server.admin.get(f"/v2/models/{MODEL}/drift").json()["versions"]
    return all(version["drifted"] for version in told)


@contextmanager
def served(*, console_actions: bool = False) -> Iterator[LiveServer]:
    """The server, once both versions serve and the other one has failed."""
    with tempfile.TemporaryDirectory(prefix="model-manager-console-") as folder:
        repository = Path(folder) / "models"
        _repository(repository)
        options: dict[str, Any] = {"state": Path(folder) / "state", "drift_rows_per_s": 200}
        if console_actions:
            options["console_actions"] = True
        with live_server(repository, wait=False, **options) as server:
            wait_until(
                lambda: all(server.status(MODEL, version)[0] == "READY" for version in "12"), "the versions to serve"
            )
            wait_until(lambda: server.status("broken", "1")[1] != "", "the other one to fail")
            yield server
