"""Labels as a real server takes them: over workers and pods, from a file, and as a canary is judged by them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from model_manager.cli import cli
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from tests.live import LiveServer, live_server, wait_until
from tests.observability.prometheus import watching

WINDOW_S = 8
ENOUGH = 60
ROWS = np.random.default_rng(0).normal(size=(200, 2))
TRUTH = np.where(ROWS.sum(axis=1) > 0, "yes", "no")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that is right, and a newer one that always says no."""
    folder = tmp_path_factory.mktemp("models")
    for version, estimator in (("1", LogisticRegression()), ("2", DummyClassifier(strategy="constant", constant="no"))):
        (folder / "churn" / version).mkdir(parents=True)
        joblib.dump(estimator.fit(ROWS, TRUTH), folder / "churn" / version / "model.joblib")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    """Two workers, one of which holds each answer."""
    with live_server(folder, workers=2, compile="off", load_isolation="none", feedback_window_s=WINDOW_S) as server:
        yield server


def ask(server: LiveServer, row: int, version: str, id: str | None = None) -> str:
    """Answer a row on a connection of its own; the id of its request."""
    headers = {"connection": "close", **({} if id is None else {"x-request-id": id})}
    answer = server.api.post(
        f"/v1/models/churn/versions/{version}:predict", json={"instances": [ROWS[row].tolist()]}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return id or answer.headers["x-request-id"]


def tell(server: LiveServer, labels: list[dict[str, Any]]) -> dict[str, Any]:
    answer = server.api.post("/v1/models/churn:feedback", json={"labels": labels}, headers={"connection": "close"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def of_version(server: LiveServer, version: str) -> dict[str, Any]:
    told = server.admin.get("/v2/models/churn/feedback").json()["versions"]
    (found,) = [one for one in told if one["model_version"] == version]
    return dict(found)


def test_labels_reach_the_worker_that_answered_and_a_worse_version_is_told_by_the_verdict(
    server: LiveServer, tmp_path: Path
) -> None:
    with watching({"stable": str(server.admin.base_url)}, folder=tmp_path) as prometheus:
        joined, label = {"1": 0, "2": 0}, {"id": "none yet", "label": ""}
        for row in range(len(ROWS)):
            for version in joined:
                label = {"id": ask(server, row, version), "label": str(TRUTH[row])}
                joined[version] += tell(server, [label])["counts"].get("joined", 0)  # a busy machine may be too late
            if min(joined.values()) >= ENOUGH:
                break
        assert min(joined.values()) >= ENOUGH, joined

        def mature() -> bool:
            return all(of_version(server, version)["total"]["labelled"] >= joined[version] for version in joined)

        wait_until(mature, "the answers to be mature")
        good, bad = of_version(server, "1")["total"], of_version(server, "2")["total"]
        assert good["metrics"]["accuracy"] > 0.9
        assert bad["metrics"]["accuracy"] < 0.7
        assert good["coverage"] == pytest.approx(joined["1"] / good["predictions"], abs=1e-4)
        assert tell(server, [label])["counts"] == {"too_late": 1}
        assert server.metric("model_manager_labelled_predictions_total", model_version="1") == joined["1"]
        assert server.metric("model_manager_live_metric", model_version="2", metric="accuracy") == pytest.approx(
            bad["metrics"]["accuracy"]
        )

        def judged() -> Result:
            options = ["--by", "version", "--stable", "1", "--canary", "2", "--json", "--min-requests", "40"]
            where = ["--prometheus", prometheus.api, "--model", "churn", "--min-labels", "40"]
            return CliRunner().invoke(cli, ["canary", *where, *options])

        wait_until(lambda: judged().exit_code == 1, "the canary to be called worse")
        document = json.loads(judged().stdout)
        checks = {check["name"]: check["outcome"] for check in document["checks"]}
        assert (document["verdict"], checks["accuracy"], checks["errors"]) == ("worse", "worse", "ok")
        assert document["canary"]["live"]["labelled_predictions"] > 0


def test_the_server_s_own_id_is_told_only_where_the_caller_gave_none(server: LiveServer) -> None:
    body = {"instances": [ROWS[0].tolist()]}
    given = server.api.post("/v1/models/churn:predict", json=body, headers={"x-request-id": "mine"})
    assert "x-request-id" not in given.headers
    assert server.api.post("/v1/models/churn:predict", json=body).headers["x-request-id"]


def test_a_body_that_is_none_and_a_model_that_is_none_are_the_caller_s_fault(server: LiveServer) -> None:
    wrong = server.api.post("/v1/models/churn:feedback", json={"labels": [{"id": "a"}]})
    assert (wrong.status_code, "$.labels[0]" in wrong.json()["error"]) == (400, True)
    assert server.api.post("/v1/models/none:feedback", json={"id": "a", "label": 1}).status_code == 404
    assert server.api.get("/v1/models/churn:feedback").status_code == 405
    assert server.admin.get("/v2/models/none/feedback").status_code == 404


def feedback(server: LiveServer, file: Path, *options: str, model: str = "churn") -> Result:
    where = ["--url", str(server.api.base_url), "--model", model, "--patience", "0"]
    return CliRunner().invoke(cli, ["feedback", str(file), *where, *options])


def test_a_file_of_labels_is_sent_and_those_that_are_not_joined_are_named(server: LiveServer, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    known = ask(server, 0, "1", id="01234")
    file.write_text(f"id,label\n{known},yes\nnever,no\nlater,\n", encoding="utf-8")
    done = feedback(server, file, "--json")
    assert done.exit_code == 1, done.output
    told = json.loads(done.stdout)
    assert (told["counts"], told["without_label"]) == ({"joined": 1, "unknown": 1}, 1)
    assert told["not_joined"] == ["line 3: id 'never', row 0: unknown"]
    shown = feedback(server, file)
    assert "unknown" in shown.stdout
    assert "line 3: id 'never'" in shown.stderr
    file.write_text(f"id,label\n{ask(server, 1, '1', id='fresh')},yes\n", encoding="utf-8")
    assert feedback(server, file).exit_code == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,label\na,b\n", "there is no column 'id'"),
        ("id,truth\na,b\n", "there is no column 'label'"),
        ("id,label,row\na,b,first\n", "line 2: row 'first' is no whole number"),
    ],
    ids=["no id", "no label", "a row that is none"],
)
def test_a_file_that_says_something_else_is_refused_in_a_line(
    server: LiveServer, tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8")
    done = feedback(server, file)
    assert (done.exit_code, why in done.stderr) == (2, True), done.stderr


def test_a_server_that_takes_no_labels_says_so_and_gives_no_ids(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("id,label\na,b\n", encoding="utf-8")
    with live_server(folder, compile="off", load_isolation="none") as server:
        assert "x-request-id" not in server.predict("churn", [ROWS[0].tolist()]).headers
        done = feedback(server, file)
        assert (done.exit_code, "--feedback-window-s is 0" in done.stderr) == (2, True), done.stderr
        assert "model_manager_feedback" not in server.admin.get("/metrics").text


def test_a_label_reaches_the_pod_that_answered(folder: Path) -> None:
    """A pod whose peers are found by a name: here one other, with an admin port of its own, which then is killed."""
    flags = {"compile": "off", "load-isolation": "none", "feedback-window-s": 600}
    with LiveServer(folder, flags) as holder:
        wait_until(holder.ready, "the server to be ready")
        peers = f"http://localhost:{holder.admin.base_url.port}"
        settings: dict[str, Any] = {name.replace("-", "_"): value for name, value in flags.items()}
        with live_server(folder, feedback_peers=peers, **settings) as other:
            id = ask(holder, 0, "1")
            told = tell(other, [{"id": id, "label": "yes"}, {"id": "never", "label": "yes"}])
            assert [one["status"] for one in told["labels"]] == ["joined", "unknown"]
            assert (told["counts"], of_version(holder, "1")["waiting_labelled"]) == ({"joined": 1, "unknown": 1}, 1)
            holder.kill()
            lost = tell(other, [{"id": id, "label": "yes"}])
            assert (lost["counts"], lost["unanswered"] > 0) == ({"unknown": 1}, True)
