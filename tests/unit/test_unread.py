"""A server that has read no wanted state yet says so, on every route that is about a model: 503, and never 404."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from model_manager.app import create_app
from model_manager.errors import VersionNotReady
from model_manager.serving.system import System
from model_manager.settings import Settings

from tests.unit.manager.staging import running
from tools.patience import until

MODELS = [f"m{number}" for number in range(200)]  # more than are shown in one turn of the loop


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/m"),
        ("GET", "/v1/models/m/versions/1"),
        ("POST", "/v1/models/m:predict"),
        ("POST", "/v1/models/m/versions/1:predict"),
        ("GET", "/v2/models/m"),
        ("GET", "/v2/models/m/versions/1"),
        ("GET", "/v2/models/m/ready"),
        ("GET", "/v2/models/m/versions/1/ready"),
        ("POST", "/v2/models/m/infer"),
        ("POST", "/v2/models/m/versions/1/infer"),
    ],
)
async def test_before_a_wanted_state_was_read_no_model_is_said_to_be_missing(
    tmp_path: Path, method: str, path: str
) -> None:
    system = await asyncio.to_thread(lambda: System(Settings(models=tmp_path)))
    transport = httpx.ASGITransport(create_app(system))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        body = b'{"instances": [[0.0]]}' if method == "POST" else None
        answer = await client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json() == {"error": "the models folder is being read"}


async def test_while_the_first_wanted_state_is_taken_up_no_model_is_said_to_be_missing(tmp_path: Path) -> None:
    wanted = {"models": {name: {"versions": {"1": {"artifact": "away.joblib"}}} for name in MODELS}}
    (tmp_path / "models.yaml").write_text(json.dumps(wanted), encoding="utf-8")
    turns = 0
    async with running(tmp_path) as system:
        while not system.registry.read:
            for name in MODELS:
                with pytest.raises(VersionNotReady):
                    system.registry.lease(name, None)
            turns += bool(system.registry.models)
            await asyncio.sleep(0)
        assert turns, "none of them was asked for while others were shown"
        assert set(system.registry.models) == set(MODELS)


async def test_a_folder_of_no_models_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("models: {}", encoding="utf-8")
    async with running(tmp_path) as system:
        await until(lambda: system.registry.read, "the folder to be read")
        assert not system.registry.models
