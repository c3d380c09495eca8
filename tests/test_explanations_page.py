"""Every request of docs/explanations.md, answered by a real server as the page says."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.live import LiveServer, live_server

PAGE = (ROOT / "docs" / "explanations.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(.*?)```\n\n```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples, load_isolation="none") as server:
        yield server


def alike(told: Any, printed: Any) -> None:
    """Hold an answer to the page: the digits of a computer may differ where nobody looks."""
    if isinstance(printed, float):
        assert told == pytest.approx(printed, rel=1e-3, abs=1e-3)
    elif isinstance(printed, dict):
        assert told.keys() == printed.keys()
        for name, value in printed.items():
            alike(told[name], value)
    elif isinstance(printed, list):
        assert len(told) == len(printed)
        for one, other in zip(told, printed, strict=True):
            alike(one, other)
    elif isinstance(printed, str) and printed.startswith("{"):
        alike(json.loads(told), json.loads(printed))
    else:
        assert told == printed


def test_the_page_has_an_example_of_each_protocol() -> None:
    assert [re.findall(r"localhost:8080/(v\d)/", command) for command, _ in EXAMPLES] == [["v1"], ["v2"]]


@pytest.mark.parametrize(("command", "printed"), EXAMPLES, ids=["v1", "v2"])
def test_a_reader_gets_what_is_printed(server: LiveServer, command: str, printed: str) -> None:
    command = command.replace("localhost:8080", str(server.api.base_url.netloc, "ascii"))
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=True)
    alike(json.loads(done.stdout), json.loads(printed))
