"""A service of BentoML around estimators. PEER_MODELS: the artifacts by name, in JSON."""

# mypy: allow-untyped-decorators
import json
import os

import bentoml
import joblib
import numpy as np


@bentoml.service
class Models:
    """All of them in one process."""

    def __init__(self) -> None:
        self.models = {name: joblib.load(path) for name, path in json.loads(os.environ["PEER_MODELS"]).items()}

    @bentoml.api
    def predict(self, model: str, instances: np.ndarray) -> np.ndarray:
        """Predict the rows."""
        answer: np.ndarray = self.models[model].predict(instances)
        return answer
