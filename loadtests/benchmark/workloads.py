"""What is asked: a handful of requests per workload, with the answers scikit-learn itself gives to their rows."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_iris

from loadtests.benchmark import regressor
from models.churn.train import NUMBERS, STRINGS, customers
from models.samples import SAMPLES, build_sample

BINARY_EXTENSION: Final = "binary_tensor_data"
DISTINCT_ROWS: Final = 16
DISTINCT_BATCHES: Final = 4
BATCH_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """One workload as a reader knows it: what is sent to which model over how many connections."""

    id: str
    title: str
    model: str
    protocol: Literal["v1", "v2"]
    connections: tuple[int, ...]
    rows: int
    extension: str | None = None  # what GET /v2 must list for it to be served

    @property
    def path(self) -> str:
        """Where requests are sent; they name no version."""
        return f"/v1/models/{self.model}:predict" if self.protocol == "v1" else f"/v2/models/{self.model}/infer"


PLANS: Final = {
    plan.id: plan
    for plan in (
        Plan("W1", "one row, iris, V1 JSON", "iris", "v1", (1, 16, 64), 1),
        Plan("W1V2", "the same in V2 JSON, which answers all outputs", "iris", "v2", (1, 16, 64), 1),
        Plan("W2", "one row of 30 numbers, breast-cancer, V1 JSON", "breast-cancer", "v1", (1, 16, 64), 1),
        Plan("W3", "1000×20 rows of six-digit numbers, boosted regressor, V2 JSON", regressor.NAME, "v2", (1, 4),
             BATCH_ROWS),
        Plan("W3D", "the same with all 17 digits of a double", regressor.NAME, "v2", (1, 4), BATCH_ROWS),
        Plan("W4", "1000×20 rows, boosted regressor, V2 binary", regressor.NAME, "v2", (1, 4), BATCH_ROWS,
             BINARY_EXTENSION),
        Plan("W5", "one row by column names, churn, V1 JSON", "churn", "v1", (1, 16, 64), 1),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workload:
    """A plan with its requests: body n is to be answered with `expected[n]`. `plain` holds body 0's rows as JSON."""

    plan: Plan
    bodies: tuple[Path, ...]
    headers: Mapping[str, str]
    expected: tuple[Sequence[Any], ...]
    plain: Path


def build_models(plans: Sequence[Plan], repository: Path) -> None:
    """Train and package the models that these workloads ask. Raises PackageRefused."""
    for model in dict.fromkeys(plan.model for plan in plans):
        if model == regressor.NAME:
            regressor.publish(repository)
        else:
            for version in SAMPLES[model][1]:
                build_sample(model, version, repository, created=None)


def build_workload(plan: Plan, repository: Path, folder: Path) -> Workload:
    """Write the bodies of a workload into a folder, and predict their rows with what the default artifact holds."""
    rows = ROWS[plan.id]()
    newest = max((repository / plan.model).iterdir(), key=lambda version: int(version.name))
    estimator = joblib.load(newest / "model.joblib")
    folder.mkdir(parents=True)
    headers = {"Content-Type": "application/json"}
    plain = folder / "plain"
    plain.write_bytes(encode_json(plan.protocol, rows[0]))
    bodies = []
    for number, part in enumerate(rows):
        body = encode_json(plan.protocol, part)
        if plan.extension == BINARY_EXTENSION:
            body, headers = encode_binary(part)
        bodies.append(folder / f"body-{number}")
        bodies[-1].write_bytes(body)
    expected = tuple(estimator.predict(part).tolist() for part in rows)
    return Workload(plan, tuple(bodies), headers, expected, plain)


def encode_json(protocol: Literal["v1", "v2"], rows: Any) -> bytes:
    """Write rows as a client library would: `instances` of lists or objects for V1, one flat tensor for V2."""
    if protocol == "v2":
        tensor = {"name": "input", "datatype": "FP64", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        return json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode()
    if isinstance(rows, pd.DataFrame):
        instances = rows.astype(object).where(rows.notna(), None).to_dict("records")
    else:
        instances = rows.tolist()
    return json.dumps({"instances": instances}, separators=(",", ":")).encode()


def encode_binary(rows: Any) -> tuple[bytes, dict[str, str]]:
    """Write one V2 tensor in the binary extension's form: a JSON head, then the numbers as they lie in memory."""
    raw = np.ascontiguousarray(rows, dtype="<f8").tobytes()
    tensor = {
        "name": "input",
        "datatype": "FP64",
        "shape": list(rows.shape),
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}, separators=(",", ":")).encode()
    return head + raw, {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}


def _spread(rows: Any) -> list[Any]:
    """Some single rows, evenly from the first to the last."""
    return [rows[at : at + 1] for at in np.linspace(0, len(rows) - 1, num=DISTINCT_ROWS).astype(int)]


def _batches() -> list[Any]:
    return regressor.rows(BATCH_ROWS, DISTINCT_BATCHES)


def _short_batches() -> list[Any]:
    """Numbers as measurements have them: the time JSON takes goes by the digits, and few data have seventeen."""
    return [np.array([[float(f"{value:.6g}") for value in row] for row in batch]) for batch in _batches()]


ROWS: Final[Mapping[str, Callable[[], list[Any]]]] = {
    "W1": lambda: _spread(load_iris().data),
    "W1V2": lambda: _spread(load_iris().data),
    "W2": lambda: _spread(load_breast_cancer().data),
    "W3": _short_batches,
    "W3D": _batches,
    "W4": _batches,
    "W5": lambda: _spread(customers()[STRINGS + NUMBERS]),
}
"""Several different requests for each workload, so that no answer can be remembered."""
