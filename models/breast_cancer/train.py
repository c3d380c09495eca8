"""breast-cancer: malignant or benign from thirty measurements; a forest of a hundred trees on a plain array."""

import pandas as pd
from model_manager.training.fitting import SEED, train_and_score
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from models.training import Trained, training_command

NAME = "breast-cancer"


def train(version: str) -> Trained:
    """Fit the forest; every version is the same."""
    bunch = load_breast_cancer()
    columns = [name.replace(" ", "_") for name in bunch.feature_names.tolist()]
    diagnosis = bunch.target_names[bunch.target].astype(object)
    model = RandomForestClassifier(n_estimators=100, min_samples_leaf=2, random_state=SEED)
    sample, evaluation = train_and_score(model, bunch.data, diagnosis, classification=True)
    table = pd.DataFrame(bunch.data, columns=columns).assign(diagnosis=diagnosis)
    return Trained(model, sample, table, "diagnosis", "sklearn.datasets:load_breast_cancer", evaluation, columns)


if __name__ == "__main__":
    training_command(NAME, train)()
