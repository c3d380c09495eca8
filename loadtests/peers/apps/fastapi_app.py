"""A FastAPI app as people write it around an estimator. PEER_MODELS: the artifacts by name, in JSON."""

# mypy: allow-untyped-decorators
import json
import os
from typing import Any

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

models = {name: joblib.load(path) for name, path in json.loads(os.environ["PEER_MODELS"]).items()}
app = FastAPI()


class Asked(BaseModel):
    """The rows of one request."""

    instances: list[list[float]]


@app.post("/predict/{model}")
def predict(model: str, asked: Asked) -> dict[str, list[Any]]:
    """Predict the rows, on one of the framework's threads."""
    return {"predictions": models[model].predict(asked.instances).tolist()}
