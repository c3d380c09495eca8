"""churn: who leaves, from a customer table of strings and numbers with gaps; a DataFrame in, "yes" or "no" out."""

import numpy as np
import pandas as pd
from model_manager.training.fitting import SEED, train_and_score
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.training import Trained, training_command

NAME = "churn"
ROWS = 2000
STRINGS = ["contract", "internet", "payment_method", "region"]
NUMBERS = ["age", "tenure_months", "monthly_charges", "support_calls"]


def customers(rows: int = ROWS) -> pd.DataFrame:
    """Make up a customer table in which some fields are empty.

    Short contracts, high bills and calls for help go with leaving.
    """
    random = np.random.default_rng(SEED)
    contract = random.choice(["month-to-month", "one-year", "two-year"], rows, p=[0.55, 0.25, 0.2])
    internet = random.choice(["fiber", "dsl", "none"], rows, p=[0.45, 0.35, 0.2])
    tenure = np.minimum(random.gamma(2.0, 14.0, rows), 72).round()
    charges = 20 + 45 * (internet == "fiber") + 25 * (internet == "dsl") + random.normal(10, 8, rows).clip(0)
    calls = random.poisson(1.0 + 1.2 * (internet == "fiber"), rows).astype(float)
    age = random.normal(46, 16, rows).clip(18, 90).round()
    payment = random.choice(["bank-transfer", "card", "direct-debit", "invoice"], rows)
    region = random.choice(["north", "south", "east", "west"], rows)
    logit = (
        -1.6
        + 1.5 * (contract == "month-to-month")
        - 0.8 * (contract == "two-year")
        + 0.5 * (payment == "invoice")
        + 0.45 * calls
        + 0.02 * (charges - 60)
        - 0.045 * tenure
    )
    left = random.random(rows) < 1 / (1 + np.exp(-logit))
    table = pd.DataFrame(
        {
            "contract": contract,
            "internet": internet,
            "payment_method": payment,
            "region": region,
            "age": age,
            "tenure_months": tenure,
            "monthly_charges": charges.round(2),
            "support_calls": calls,
            "churned": np.where(left, "yes", "no"),
        }
    )
    for column, share in {"payment_method": 0.02, "age": 0.06, "support_calls": 0.03}.items():
        table.loc[random.random(rows) < share, column] = np.nan
    return table


def pipeline() -> Pipeline:
    """Encode the strings, fill and scale the numbers, and weigh both."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("strings", OneHotEncoder(handle_unknown="ignore"), STRINGS), ("numbers", numbers, NUMBERS)]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def train(version: str) -> Trained:
    """Fit the pipeline on the DataFrame; every version is the same."""
    table = customers()
    model = pipeline()
    sample, evaluation = train_and_score(model, table[STRINGS + NUMBERS], table["churned"], classification=True)
    return Trained(model, sample, table, "churned", f"generated:models/churn/train.py?seed={SEED}", evaluation)


if __name__ == "__main__":
    training_command(NAME, train)()
