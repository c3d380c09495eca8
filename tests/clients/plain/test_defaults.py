"""HTTP clients of other languages with the settings that they come with: some offer HTTP/2, none says it sends JSON."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LiveServer, live_server
from tests.models import constant, dump, put
from tools.parts import program_of_debian
from tools.patience import stretched

HERE = Path(__file__).parent
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [0, 0]}
BODIES = {
    "/v1/models/m:predict": {"instances": [[0, 0]]},
    "/v2/models/m/infer": {"id": "7", "inputs": [TENSOR]},
    "/invocations": {"dataframe_split": {"columns": ["a", "b"], "data": [[0, 0]]}},
}
COMMANDS: dict[str, tuple[str, list[object]]] = {
    "java": ("default-jdk-headless", [HERE / "Client.java"]),
    "node": ("nodejs", [HERE / "client.mjs"]),
    "go": ("golang-go", ["run", HERE / "client.go"]),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("models")
    put(folder, "m", "1", dump(constant(1.5)))
    with live_server(folder) as running:
        yield running


def lines_of(*command: object) -> list[str]:
    """What a client prints."""
    sent = [str(part) for part in command]
    done = subprocess.run(sent, capture_output=True, text=True, timeout=stretched(300))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def expected(server: LiveServer, path: str) -> object:
    response = server.api.post(path, json=BODIES[path])
    assert response.status_code == 200
    return response.json()


@pytest.mark.clients
@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", COMMANDS)
def test_clients_of_other_languages_are_answered_as_they_are(server: LiveServer, program: str) -> None:
    package, arguments = COMMANDS[program]
    given = [part for path, body in BODIES.items() for part in (server.server.api + path, json.dumps(body))]
    printed = lines_of(program_of_debian(program, package), *arguments, *given)
    answers = [(200, expected(server, path)) for path in BODIES]
    assert [(int(code), json.loads(text)) for code, _, text in (line.partition(" ") for line in printed)] == answers * 2


@pytest.mark.parametrize("offer", [[], ["--http2"], ["--http1.0"], ["-H", "Expect: 100-continue"]], ids=str)
@pytest.mark.parametrize("path", BODIES)
def test_curl_posts_what_d_names_however_it_asks(server: LiveServer, offer: list[str], path: str) -> None:
    """Twice in one call, so that the second request comes on the connection of the first."""
    url = server.server.api + path
    sent = ["-sS", "-w", "\n", *offer, "-d", json.dumps(BODIES[path]), url, url]
    printed = lines_of(program_of_debian("curl", "curl"), *sent)
    assert [json.loads(line) for line in printed] == [expected(server, path)] * 2
