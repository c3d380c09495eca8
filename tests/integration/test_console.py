"""The console as a real server gives it: its pages, what they ask for, and what they must not do."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_manager import pack
from sklearn.linear_model import LogisticRegression

from tests.live import LiveServer, live_server, wait_until

HOSTILE = "<script>alert('x')</script>"
SENT_BY_A_PAGE = {"hx-request": "true", "content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with hostile names of columns and classes, and one that cannot be loaded."""
    folder = tmp_path_factory.mktemp("models")
    data = pd.DataFrame({HOSTILE: np.linspace(-1, 1, 60), "other": np.ones(60)})
    labels = np.where(data[HOSTILE] > 0, HOSTILE, "no")
    model, table = LogisticRegression().fit(data, labels), data.assign(label=labels)
    pack(model, name="m", version="1", out=folder, data=table, target="label", holdout=table)
    (folder / "broken" / "1").mkdir(parents=True)
    (folder / "broken" / "1" / "model.joblib").write_bytes(b"no model")
    return folder


@pytest.fixture(scope="module", params=[1, 2], ids=["one", "workers"])
def server(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    state = tmp_path_factory.mktemp("state")
    with live_server(
        folder, wait=False, workers=request.param, compile="off", state=state, console_on_api=True
    ) as server:
        wait_until(lambda: server.status("m", "1")[0] == "READY", "the version to serve")
        wait_until(lambda: server.status("broken", "1")[1] != "", "the other one to fail")
        yield server


def test_overview_names_every_model_and_why_one_does_not_serve(server: LiveServer) -> None:
    answer = server.admin.get("/console")
    assert answer.status_code == 200
    assert 'href="/console/models/m"' in answer.text
    assert "corrupt: " in answer.text
    assert "Not ready" in answer.text
    told = "broken/1</td>"

    def happened() -> bool:
        return told in server.admin.get("/console").text.partition("What happened")[2]

    wait_until(happened, "the ledger to tell")


def test_pages_take_nothing_from_elsewhere(server: LiveServer) -> None:
    """What they name is served here, and the policy forbids what is not."""
    for path in ("/console", "/console/models/m"):
        answer = server.admin.get(path)
        named = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
        assert [one for one in named if not one.startswith(("/", "#", "data:,"))] == []
        for one in named:
            if one.startswith("/"):
                assert server.admin.get(html.unescape(one)).status_code == 200, one
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_version_says_what_moves_its_answers(server: LiveServer) -> None:
    page = server.admin.get("/console/models/m").text
    assert f'<th scope="row">moved most by</th><td>{html.escape(HOSTILE)}</td>' in page.replace(
        "&#34;", "&quot;"
    ).replace("&#39;", "&#x27;")


def test_names_are_text(server: LiveServer) -> None:
    """Columns and classes may be called anything."""
    page = server.admin.get("/console/models/m").text + server.admin.get("/console/models/m/versions/1/form").text
    assert HOSTILE not in page
    assert html.escape(HOSTILE, quote=False) in html.unescape(page).replace(HOSTILE, html.escape(HOSTILE, quote=False))
    answer = server.admin.post(
        "/console/models/m/versions/1/try", content="field-0=0.9&field-1=1", headers=SENT_BY_A_PAGE
    )
    assert answer.status_code == 200
    assert HOSTILE not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_row_can_be_tried_and_is_counted(server: LiveServer) -> None:
    counted = server.metric("model_manager_requests_total", model_name="m", code="200")
    answer = server.admin.post(
        "/console/models/m/versions/1/try", content="field-0=-0.9&field-1=1", headers=SENT_BY_A_PAGE
    )
    assert '<p class="answer">no</p>' in answer.text
    assert "Chances" in answer.text
    assert server.metric("model_manager_requests_total", model_name="m", code="200") == counted + 1


def test_what_moved_the_answer_is_shown_and_adds_up(server: LiveServer) -> None:
    """Explanations come from whichever process has the version; what columns did and the base are the answer."""
    page = server.admin.post(
        "/console/models/m/versions/1/try", content="field-0=-0.9&field-1=1", headers=SENT_BY_A_PAGE
    ).text
    assert f"{HOSTILE} = -0.9 raised the log-odds of no by" in html.unescape(page)
    assert page.count("<rect") == 1, "the other column is always 1, and moves nothing"
    base, moved, answer = map(float, re.findall(r'<td class="n">(?:<b>)?([-+.\d]+)(?:</b>)?</td></tr>', page)[-3:])
    assert moved > 0.1
    assert abs(base + moved - answer) < 0.01 * abs(answer)


def test_a_mistake_is_told_by_column(server: LiveServer) -> None:
    answer = server.admin.post(
        "/console/models/m/versions/1/try", content="field-0=0.9&field-1=wide", headers=SENT_BY_A_PAGE
    )
    assert answer.status_code == 200
    assert "400: instances: row 0, column" in answer.text


def test_other_sites_cannot_send(server: LiveServer) -> None:
    """A form of another site has no header of its own; one that sets it needs a preflight, which is not allowed."""
    answer = server.admin.post("/console/models/m/versions/1/try", content="field-0=1")
    assert answer.status_code == 400


def test_live_figures_count_what_was_answered(server: LiveServer) -> None:
    before = server.admin.get("/console/live?model=m").json()["versions"].get("m/1", {"ok": 0})["ok"]
    assert server.predict("m", [[0.5, 1]], version="1").status_code == 200

    def counted() -> bool:
        told = server.admin.get("/console/live?model=m").json()["versions"]["m/1"]
        return bool(told["ok"] == before + 1 and sum(told["counts"]) >= 1)

    wait_until(counted, "the request to be counted")


@pytest.mark.parametrize(
    "path",
    [
        "/console/models/unknown",
        "/console/models/m/versions/9/form",
        "/console/static/secret.html",
        "/console/models/unknown/parts/drift",
    ],
)
def test_what_is_not_there_is_said(server: LiveServer, path: str) -> None:
    answer = server.admin.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_nothing_can_be_changed_unless_the_operator_says_so(server: LiveServer) -> None:
    assert "Stop serving" not in server.admin.get("/console/models/m").text


def test_api_port_has_it_where_a_setting_says_so(server: LiveServer) -> None:
    assert server.api.get("/console").status_code == 200


def test_api_port_does_not_have_it_by_itself_and_actions_are_offered_when_asked_for(folder: Path) -> None:
    with live_server(folder, wait=False, compile="off", console_actions=True, explain_queue_rows=0) as server:
        wait_until(lambda: server.status("m", "1")[0] == "READY", "the version to serve")
        assert server.api.get("/console").status_code == 404
        tried = server.admin.post(
            "/console/models/m/versions/1/try", content="field-0=1&field-1=1", headers=SENT_BY_A_PAGE
        ).text
        assert 'class="answer"' in tried
        assert "No explanation: nothing is explained here: --explain-queue-rows is 0" in tried
        page = server.admin.get("/console/models/m").text
        elsewhere = {"origin": "https://other.example"}
        assert server.admin.post("/v2/repository/models/m/unload", headers=elsewhere).status_code == 400
        own = {"origin": str(server.admin.base_url).rstrip("/")}
        assert server.admin.post("/v2/repository/models/m/load", headers=own).status_code == 200
        assert 'hx-post="/v2/repository/models/m/unload"' in page
        assert server.admin.post("/v2/repository/models/m/unload", headers=SENT_BY_A_PAGE).status_code == 200
        wait_until(
            lambda: (
                "No version of it serves" in server.admin.get("/console/models/m").text
                or server.admin.get("/console/models/m").status_code == 404
            ),
            "the page to say so",
        )
        assert "No ledger is kept here" in server.admin.get("/console").text
