"""What docs/protocols.md says of the edges: what is not offered is refused with a sentence, and probes agree."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from model_manager.app import create_app
from model_manager.serving.system import System
from model_manager.settings import Settings

from tests.integration.conftest import IRIS, Client

HALF = {"name": "input", "shape": [1, 4], "datatype": "BF16", "data": IRIS}
EVENT = {"specversion": "1.0", "id": "1", "type": "t", "source": "s", "data": {"instances": [IRIS]}}


NOT_OFFERED: list[tuple[str, dict[str, Any], int, str]] = [
    ("/v1/models/iris:predict", EVENT, 400, 'has neither of "instances"'),
    ("/v2/models/iris/infer", {"inputs": [HALF]}, 400, '"BF16"'),
    ("/v2/models/iris/generate", {"text_input": "a"}, 404, "no such route"),
    ("/v2/models/iris/generate_stream", {"text_input": "a"}, 404, "no such route"),
    ("/v2/models/iris/infer_stream", {"inputs": []}, 404, "no such route"),
    ("/v2/repository/mine/index", {}, 404, "no such route"),
    ("/v2/repository/models/iris/load", {}, 404, "no such route"),
    ("/v2/systemsharedmemory/region/r/register", {}, 404, "no such route"),
]


async def test_what_is_not_offered_is_refused_with_a_sentence(api: Client) -> None:
    for path, body, code, sentence in NOT_OFFERED:
        answer = await api.post(path, json=body)
        assert (path, answer.status_code, [*answer.json()]) == (path, code, ["error"])
        assert sentence in answer.json()["error"], path


async def test_head_is_wherever_get_is(api: Client) -> None:
    for path in ("/", "/v1/models/iris", "/v2", "/v2/health/ready", "/v2/models/iris", "/ping", "/openapi.json"):
        got, told = await api.get(path), await api.head(path)
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["content-length"] == got.headers["content-length"], path


async def test_probes_of_mlflow_say_what_those_of_v2_say(api: Client, tmp_path: Path) -> None:
    probes = ("/ping", "/health", "/v2/health/ready")
    assert {(await api.get(path)).status_code for path in probes} == {200}
    system = await asyncio.to_thread(lambda: System(Settings(models=tmp_path)))
    app = create_app(system)  # which does not run: nothing was reached yet
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as early:
        for path in probes:
            answer = await early.get(path)
            assert (path, answer.status_code) == (path, 503)
