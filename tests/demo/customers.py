"""Who leaves, and two models of it: equally right, until prices rise and one has taken the price for the contract."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml
from model_manager import pack
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

MODEL: Final = "churn"
STABLE: Final = "1"
CANARY: Final = "2"
CANARY_PERCENT: Final = 30
RISE: Final = 20
"""By so much every customer pays more a month, when prices rise."""
_NOISE: Final = 0.04
"""So many decide otherwise, whatever their contract."""
_MONTHLY: Final = "month-to-month"
_COLUMNS: Final = {STABLE: ["contract"], CANARY: ["monthly_charges"]}
"""What each version looks at, beside how long a customer has been one."""


def customers(number: int, *, seed: int, rise: float = 0) -> pd.DataFrame:
    """Customers and whether they left. Short contracts cost more; who leaves is decided by the contract."""
    random = np.random.default_rng(seed)
    contract = random.choice([_MONTHLY, "one-year", "two-year"], number, p=[0.5, 0.3, 0.2])
    tenure = random.integers(1, 60, number).astype(float)
    charges = random.normal(np.where(contract == _MONTHLY, 85, 50), 6) + rise
    leaves = (contract == _MONTHLY) ^ (random.random(number) < _NOISE)
    return pd.DataFrame(
        {
            "contract": contract,
            "tenure_months": tenure,
            "monthly_charges": charges.round(2),
            "support_calls": random.poisson(1.5, number).astype(float),
            "left": np.where(leaves, "yes", "no"),
        }
    )


def rows_and_labels(number: int, *, seed: int, rise: float = 0) -> list[tuple[dict[str, Any], str]]:
    """Customers as a client sends them, and what becomes of each."""
    table = customers(number, seed=seed, rise=rise)
    rows: list[Any] = table.drop(columns="left").to_dict("records")
    return [*zip(rows, map(str, table["left"]), strict=True)]


def build(folder: Path) -> None:
    """Train both versions, and write their packages and the manifest that deals the traffic. Raises PackageRefused."""
    data, holdout = customers(4000, seed=0), customers(2000, seed=1)
    for version, columns in _COLUMNS.items():
        model = _pipeline(columns).fit(data.drop(columns="left"), data["left"])
        pack(model, name=MODEL, version=version, out=folder, data=data, target="left", holdout=holdout)
    versions = {version: {"artifact": str(folder / MODEL / version / "model.joblib")} for version in _COLUMNS}
    traffic = {STABLE: 100 - CANARY_PERCENT, CANARY: CANARY_PERCENT}
    manifest = {"models": {MODEL: {"default": STABLE, "traffic": traffic, "versions": versions}}}
    (folder / "models.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")


def _pipeline(columns: list[str]) -> Pipeline:
    strings = [name for name in columns if name == "contract"]
    numbers = ["tenure_months", *(name for name in columns if name != "contract")]
    front = make_column_transformer((OneHotEncoder(), strings), (StandardScaler(), numbers))
    return make_pipeline(front, LogisticRegression())
