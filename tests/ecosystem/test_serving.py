"""What other libraries' estimators answer in a real server is what they answer in the script that trained them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_manager.inference.compiled.proof.verdict import ATOL, RTOL
from model_manager.packaging.package import write_package

from tests.ecosystem.specimens import SPECIMENS, amounts, boosted, categorical
from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put

pytestmark = [
    pytest.mark.ecosystem,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the libraries' own, of how they use others
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that follows an empty repository; tests publish into it."""
    folder = tmp_path_factory.mktemp("repository")
    with live_server(folder, wait=False, poll_interval_s=0.2) as server:
        yield server


@pytest.fixture
def repository(server: LiveServer) -> Path:
    """The folder that the server follows."""
    arguments = server.server.popen.args
    assert isinstance(arguments, list)
    return Path(arguments[arguments.index("--models") + 1])


@pytest.mark.parametrize("name", [name for name, specimen in SPECIMENS.items() if not specimen.packed_only])
def test_an_artifact_answers_what_the_library_answers(server: LiveServer, repository: Path, name: str) -> None:
    specimen = SPECIMENS[name]
    estimator = specimen.fit(specimen.X)
    put(repository, _slug(name), "1", dump(estimator))
    _check(server, _slug(name), estimator, specimen.X)


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_package_answers_what_the_library_answers(server: LiveServer, repository: Path, name: str) -> None:
    specimen = SPECIMENS[name]
    estimator = specimen.fit(specimen.X)
    model = f"{_slug(name)}-packed"
    write_package(estimator, name=model, version="1", repository=repository, sample=specimen.X)
    _check(server, model, estimator, specimen.X)


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost"])
def test_a_category_that_fit_never_saw_is_for_the_library_to_judge(
    server: LiveServer, repository: Path, kind: str
) -> None:
    table = categorical()
    strange = table[:1].assign(city=pd.Categorical(["oslo"], categories=[*table["city"].cat.categories, "oslo"]))
    estimator = boosted(kind, "regressor").fit(table, amounts())
    put(repository, f"{kind}-strange", "1", dump(estimator))
    wait_until(lambda: server.status(f"{kind}-strange", "1")[0] == "READY", "it to be loaded")
    response = server.predict(f"{kind}-strange", _rows(strange))
    assert response.status_code == 200, response.text
    _same(response.json()["predictions"], estimator.predict(strange), compiled=_is_compiled(server, f"{kind}-strange"))


def _check(server: LiveServer, model: str, estimator: Any, X: Any) -> None:
    state = wait_until(lambda: _settled(server, model), f"{model} to be loaded")
    assert state == ("READY", ""), state
    _compare(server, model, estimator, X)
    wait_until(lambda: server.logged(f"{model}/1 is answered by"), f"faster forms of {model} to be looked for")
    _compare(server, model, estimator, X)


def _settled(server: LiveServer, model: str) -> tuple[str, str] | None:
    state = server.status(model, "1")
    return state if state[0] in ("READY", "UNAVAILABLE") else None


def _compare(server: LiveServer, model: str, estimator: Any, X: Any) -> None:
    """Ask for every row by V1 and every output by V2, in batches of several sizes."""
    rows = _rows(X)
    response = server.predict(model, rows)
    assert response.status_code == 200, response.text
    expected = np.asarray(estimator.predict(X))
    if expected.ndim == 2 and hasattr(estimator, "predict_proba"):
        expected = expected[:, 0]  # CatBoost gives several classes as a column; one label a row is what is served
    body = {"inputs": _tensors(server, model, rows[:7])}
    tensors = server.api.post(f"/v2/models/{model}/infer", json=body)
    assert tensors.status_code == 200, tensors.text
    outputs = {output["name"]: output for output in tensors.json()["outputs"]}
    compiled = _is_compiled(server, model)  # asked last: what is not compiled now was not compiled before
    _same(response.json()["predictions"], expected, compiled=compiled)
    assert set(outputs) >= {"predict"} | ({"predict_proba"} if hasattr(estimator, "predict_proba") else set())
    for name, output in outputs.items():
        own = np.asarray(getattr(estimator, name)(X[:7]))
        _same(np.reshape(output["data"], output["shape"]).tolist(), own.reshape(output["shape"]), compiled=compiled)


def _is_compiled(server: LiveServer, model: str) -> bool:
    return str(server.index()[model, "1"]["parameters"]["form"]) != "sklearn"


def _tensors(server: LiveServer, model: str, rows: list[Any]) -> list[dict[str, Any]]:
    inputs = server.api.get(f"/v2/models/{model}").json()["inputs"]
    if len(inputs) == 1:
        table = [list(row.values()) if isinstance(row, dict) else row for row in rows]
        return [{"name": "input", "shape": [len(rows), len(table[0])], "datatype": "FP64", "data": table}]
    return [
        {
            "name": column["name"],
            "shape": [len(rows)],
            "datatype": column["datatype"],
            "data": [row[column["name"]] for row in rows],
        }
        for column in inputs
    ]


def _rows(X: Any) -> list[Any]:
    if isinstance(X, pd.DataFrame):
        rows: list[Any] = json.loads(X.to_json(orient="records", double_precision=15))
        return rows
    return [[None if value != value else value for value in row] for row in X.tolist()]


def _same(got: list[Any], own: Any, *, compiled: bool) -> None:
    """Labels as they are, numbers bit for bit: JSON keeps every digit of float64, and of float32.

    A compiled form is as close as its proof asks: it finishes sums with numpy's exponential, and LightGBM with its own.
    """
    if own.dtype.kind == "f" and compiled:
        np.testing.assert_allclose(np.asarray(got, dtype=own.dtype), own, rtol=RTOL, atol=ATOL)
    elif own.dtype.kind == "f":
        np.testing.assert_array_equal(np.asarray(got, dtype=own.dtype), own)
    else:
        assert got == own.tolist()


def _slug(name: str) -> str:
    return name.replace(" ", "-")
