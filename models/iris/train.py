"""iris: three species from four measurements; a plain array in, labels out.

Two versions that take the same rows and differ in one answer: for [6.0, 2.8, 4.8, 1.6], version 1 says versicolor and
version 2 virginica, because version 2 would rather call a versicolor virginica than miss a virginica.
"""

import pandas as pd
from model_manager.training.fitting import train_and_score
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.training import Trained, training_command

NAME = "iris"
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def train(version: str) -> Trained:
    """Fit version "1" with equal weights; every other version weighs virginica four times."""
    bunch = load_iris()
    species = bunch.target_names[bunch.target].astype(object)
    weights = None if version == "1" else {"setosa": 1, "versicolor": 1, "virginica": 4}
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight=weights, max_iter=1000))
    sample, evaluation = train_and_score(model, bunch.data, species, classification=True)
    table = pd.DataFrame(bunch.data, columns=list(COLUMNS)).assign(species=species)
    return Trained(model, sample, table, "species", "sklearn.datasets:load_iris", evaluation, COLUMNS)


if __name__ == "__main__":
    training_command(NAME, train)()
