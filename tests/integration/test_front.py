"""`GET /` is a page to a browser and JSON to programs; a terminal is told what to try; the index answers a GET."""

import asyncio
import json
import re
import subprocess
from html import unescape
from pathlib import Path

import httpx
import pytest
from model_manager.api.front import Try, easiest, prefers_page

from tests.integration.conftest import Client, running_app
from tests.live import COMMAND, wait_until
from tests.models import constant, dump, put
from tools.processes import Process

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML ; charset=utf-8", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0", False),
        ("text/html;q=often", False),
        ("text/plain", False),
    ],
)
def test_html_goes_to_whoever_asks_for_it_by_name(accept: str, page: bool) -> None:
    assert prefers_page(accept) == page


async def test_a_browser_is_shown_what_is_served_and_a_program_told(api: Client) -> None:
    page, told = await api.get("/", headers={"accept": BROWSER}), await api.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert told.headers["content-type"] == "application/json"
    assert page.headers["vary"] == told.headers["vary"] == "accept"
    for name in told.json()["models"]:
        assert f'href="v2/models/{name}"' in page.text
    for where in re.findall(r'href="(?!http)([^"]+)"', page.text):
        assert (await api.get(f"/{where}")).status_code == 200, where
    assert 'href="http://api:8081/metrics"' in page.text


async def test_the_page_needs_nothing_from_elsewhere_and_lets_nothing_in(api: Client) -> None:
    page = await api.get("/", headers={"accept": BROWSER})
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"<script|<link|<img|\bsrc=|@import|url\(|style=|\bon\w+=", page.text)


async def test_the_line_to_try_is_answered(api: Client) -> None:
    page = await api.get("/", headers={"accept": BROWSER})
    (line,) = re.findall(r"<pre>(curl .*)</pre>", page.text)
    found = re.fullmatch(r"curl -s http://api(\S+) -H 'content-type: application/json' -d '(.*)'", unescape(line))
    assert found is not None
    answer = await api.post(found[1], content=found[2], headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert found[1] == "/v1/models/iris:predict", "the shortest of the samples"


@pytest.mark.parametrize("host", ['evil"><script>', "a'b;c", "x y"])
async def test_a_host_that_is_none_is_not_repeated(api: Client, host: str) -> None:
    page = await api.get("/", headers={"accept": BROWSER, "host": host})
    assert "http://localhost/v1/models/" in page.text
    assert host not in unescape(page.text)


async def test_reasons_are_text_and_states_are_shown(tmp_path: Path) -> None:
    put(tmp_path, "good", "1", dump(constant(1.0)))
    (tmp_path / "models.yaml").write_text(
        "models: {good: {versions: {'1': {artifact: good/1/model.joblib}, '2': {artifact: '<b>none</b>.joblib'}}}}",
        encoding="utf-8",
    )
    async with running_app(tmp_path) as (api, _, system):
        while not system.registry.ended:
            await asyncio.sleep(0.005)
        page = (await api.get("/", headers={"accept": BROWSER})).text
    assert "&lt;b&gt;none" in page
    assert "<b>" not in page
    assert '<td class="UNAVAILABLE">' in page


async def test_an_empty_server_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("models: {}", encoding="utf-8")
    async with running_app(tmp_path, admin_port=0) as (api, _, _):
        page = (await api.get("/", headers={"accept": BROWSER})).text
    assert "Nothing yet: put a version into the models folder" in page
    assert "<pre>" not in page
    assert 'metrics"' not in page, "nobody knows where"


async def test_the_index_answers_a_get_as_it_answers_a_post(api: Client, admin: Client) -> None:
    for client in (api, admin):
        got, posted = await client.get("/v2/repository/index"), await client.post("/v2/repository/index")
        assert got.status_code == 200
        assert got.json() == posted.json()
        assert {row["name"] for row in got.json()} >= {"iris", "churn"}


def test_a_line_to_try_is_one_word_for_the_shell_and_asks_for_a_key_where_one_is_needed() -> None:
    line = Try("it", json.dumps({"instances": [["it's $HOME"]]})).line("http://localhost", by_key=True)
    printed = subprocess.run(["sh", "-c", line.replace("curl", r"printf '%s\n'")], capture_output=True, text=True)
    assert json.loads(printed.stdout.splitlines()[-1]) == {"instances": [["it's $HOME"]]}
    assert "-H 'authorization: Bearer YOUR_KEY'" in line
    assert easiest([]) is None


def test_a_person_is_greeted_in_three_lines_once_it_serves(samples: Path) -> None:
    flags = ["--models", str(samples), "--host", "127.0.0.1", "--port", "0", "--admin-port", "0"]
    with Process("the server", [*COMMAND, *flags]) as server:
        wait_until(lambda: any(line.startswith("look ") for line in server.log), "the last line")
        steps, (serving, attempt, look) = server.log[:-4], server.log[-3:]
        assert serving.startswith("serving  breast-cancer, churn, diabetes, iris at http://127.0.0.1:")
        asked = subprocess.run(attempt.removeprefix("try "), shell=True, capture_output=True, check=True)
        assert json.loads(asked.stdout)["predictions"]
        places = re.findall(r"http\S+", look)
        assert [place.rpartition("/")[2] for place in places] == ["docs", "console", "metrics"]
        assert [httpx.get(place, follow_redirects=True).status_code for place in places] == [200] * 3
        for version in ("iris/1", "iris/2", "churn/1"):
            lines = [line for line in steps if f" {version} " in line]
            assert len(lines) == 1, lines
            assert f"{version} is ready: " in lines[0]
            assert "model_name" not in lines[0]
