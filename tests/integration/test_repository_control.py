"""Load and unload by V2's repository extension: on the admin port, of one process and of several."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from model_manager.serving.keys import digest_of
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from tests.integration.conftest import running_app
from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put
from tools.patience import until

X, Y = load_iris(return_X_y=True)
ROW = X[0].tolist()
SHALLOW, DEEP = (dump(DecisionTreeClassifier(max_depth=depth).fit(X, Y)) for depth in (2, 3))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, Path]]:
    """Two workers, both of which have to be told."""
    models = tmp_path_factory.mktemp("models")
    for name in ("iris", "other"):
        put(models, name, "1", SHALLOW)
    with live_server(models, workers=2, compile="off", poll_interval_s=0.2, repository_control=True) as server:
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
    put(models, "other", "2", DEEP)
    wait_until(lambda: server.status("other", "2")[0] == "READY", "another model to change")
    assert answers(server, "iris") == 404
    assert order(server, "iris", "load") == (200, {"name": "iris", "load": True})
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {200}, "the model to come back")
    order(server, "iris", "unload")
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {404}, "the model to go")
    put(models, "iris", "2", DEEP)
    wait_until(lambda: {answers(server, "iris") for _ in range(8)} == {200}, "the changed model to be served")


async def test_the_port_of_predictions_takes_orders_where_the_operator_says_so(tmp_path: Path) -> None:
    models, keys = tmp_path / "models", tmp_path / "api-keys.yaml"
    for name in ("iris", "other"):
        put(models, name, "1", SHALLOW)
    digest = digest_of(b"key-of-shop").hex()
    keys.write_text(f"keys: {{shop: {{sha256: {digest}, models: [iris]}}}}\n", encoding="utf-8")
    shop = {"authorization": "Bearer key-of-shop"}
    path = "/v2/repository/models/iris/unload"
    async with running_app(models, api_keys=keys, repository_control=True) as (api, _, system):
        assert (await api.post(path)).status_code == 401
        assert (await api.post(path.replace("iris", "other"), headers=shop)).status_code == 403
        assert (await api.post(path, headers=shop)).json() == {"name": "iris", "unload": True}
        await until(lambda: "iris" not in system.registry.models, "the model to go")
        assert (await api.post(path.replace("unload", "load"), headers=shop)).status_code == 200
        await until(lambda: "iris" in system.registry.models, "the model to be wanted")
        await until(lambda: system.registry.models["iris"].ready, "the model to come back")


def test_of_several_workers_only_the_admin_port_takes_orders(served: tuple[LiveServer, Path]) -> None:
    server, _ = served
    answer = server.api.post("/v2/repository/models/iris/unload")
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        "unload: several workers answer here, and one alone would be told; ask the admin port",
    )


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
