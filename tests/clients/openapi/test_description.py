"""The description of a running server, held to by programs that no one here wrote: a validator and schemathesis.

Both have an environment of their own.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LiveServer, live_server
from tools.parts import program_of_clients

pytestmark = [pytest.mark.clients, pytest.mark.timeout(600)]

LEFT_OUT = "positive_data_acceptance"
"""The one check of schemathesis that asks whether whatever fits is taken: no schema says that the numbers of a tensor
fill its shape, that its datatype is that of the column or, on the routes of any model, what its columns are."""


@pytest.fixture(scope="module")
def server(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples) as running:
        yield running


def test_the_description_is_of_openapi_3_1(server: LiveServer, tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(server.api.get("/openapi.json").text, encoding="utf-8")
    assert json.loads(file.read_text(encoding="utf-8"))["openapi"] == "3.1.0"
    ran = subprocess.run(
        [str(program_of_clients("openapi", "openapi-spec-validator")), str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_answers_are_as_described_whatever_is_asked(server: LiveServer, tmp_path: Path) -> None:
    command = [
        str(program_of_clients("openapi", "schemathesis")),
        "run",
        f"{server.api.base_url}/openapi.json",
        "--no-color",
    ]
    command += ["--max-examples", "10", "--phases", "examples,coverage,fuzzing", "--seed", "1"]
    command += ["--exclude-checks", LEFT_OUT, "--generation-database", "none", "--wait-for-schema", "60"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-10_000:] + ran.stderr[-2_000:]
    assert " passed" in ran.stdout
