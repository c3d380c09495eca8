"""Save an estimator as a model of MLflow, and become its server: mlflow_serve ARTIFACT FOLDER PORT."""

import os
import sys
from pathlib import Path

import joblib
import mlflow.sklearn

artifact, folder, port = sys.argv[1:]
mlflow.sklearn.save_model(joblib.load(artifact), folder, serialization_format="cloudpickle")
program = str(Path(sys.executable).with_name("mlflow"))
options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
os.execv(program, [program, "models", "serve", "--model-uri", folder, *options])
