"""Load and unload by V2's repository extension: on the admin port, of one process and of several."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put

X, Y = load_iris(return_X_y=True)
ROW = X[0].tolist()


@pytest.fixture(scope="module", params=[1, 2])
def served(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[LiveServer, Path]]:
    models = tmp_path_factory.mktemp("models")
    for name in ("iris", "other"):
        put(models, name, "1", dump(DecisionTreeClassifier(max_depth=2).fit(X, Y)))
    with live_server(models, workers=request.param, compile="off", poll_interval_s=0.2) as server:
        yield server, models


def answers(server: LiveServer, model: str) -> int:
    return server.predict(model, [ROW]).status_code


def order(server: LiveServer, model: str, word: str, **body: object) -> tuple[int, dict[str, object]]:
    response = server.admin.post(f"/v2/repository/models/{model}/{word}", json=body)
    return response.status_code, response.json()


def test_an_unloaded_model_stays_away_until_it_is_loaded_or_changes(served: tuple[LiveServer, Path]) -> None:
    server, models = served
    assert answers(server, "iris") == 200
    assert order(server, "iris", "unload", parameters={"unload_dependents": True}) == (
        200,
        {"name": "iris", "unload": True},
    )
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {404}, "the model to go")
    assert server.ready()
    assert answers(server, "other") == 200
    put(models, "other", "2", dump(DecisionTreeClassifier(max_depth=3).fit(X, Y)))
    wait_until(lambda: server.status("other", "2")[0] == "READY", "another model to change")
    assert answers(server, "iris") == 404
    assert order(server, "iris", "load") == (200, {"name": "iris", "load": True})
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {200}, "the model to come back")
    order(server, "iris", "unload")
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {404}, "the model to go")
    put(models, "iris", "2", dump(DecisionTreeClassifier(max_depth=3).fit(X, Y)))
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {200}, "the changed model to be served")


def test_what_cannot_be_ordered_is_refused(served: tuple[LiveServer, Path]) -> None:
    server, _ = served
    assert order(server, "unheard-of", "load")[0] == 404
    assert order(server, "unheard-of", "unload")[0] == 404
    code, said = order(server, "iris", "load", parameters={"config": "{}"})
    assert (code, said["error"]) == (
        400,
        "load: parameters: 'config' is not taken here: what a model is, the manifest says",
    )
    for body in (b"{", b"[]", b'{"parameters": 3}', b"\xff", b"[" * 10_000):
        assert server.admin.post("/v2/repository/models/iris/unload", content=body).status_code == 400
    assert server.api.post("/v2/repository/models/iris/unload").status_code == 404
