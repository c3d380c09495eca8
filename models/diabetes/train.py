"""diabetes: how the disease progresses in a year, a number; gradient boosting on an array that may miss values."""

import pandas as pd
from model_manager.training.fitting import SEED, train_and_score
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor

from models.training import Trained, training_command

NAME = "diabetes"


def train(version: str) -> Trained:
    """Fit the trees on measurements in their own units; every version is the same."""
    bunch = load_diabetes(scaled=False)
    columns = list(bunch.feature_names)
    model = HistGradientBoostingRegressor(max_iter=60, learning_rate=0.06, min_samples_leaf=15, random_state=SEED)
    sample, evaluation = train_and_score(model, bunch.data, bunch.target, classification=False)
    table = pd.DataFrame(bunch.data, columns=columns).assign(progression=bunch.target)
    return Trained(model, sample, table, "progression", "sklearn.datasets:load_diabetes", evaluation, columns)


if __name__ == "__main__":
    training_command(NAME, train)()
