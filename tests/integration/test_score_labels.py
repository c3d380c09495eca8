"""Labels that came later, against the records that a real server wrote: from the prediction to the figure."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from model_manager import write_package
from model_manager.commands.score_labels import score_labels
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.live import live_server, wait_until
from tests.packaged import failure, run

DATA = load_breast_cancer()
NAMES = [str(name) for name in DATA.target_names]
TRUTH = [NAMES[at] for at in DATA.target]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[dict[str, Any]]]]:
    """The records of forty requests of five rows each, and what was answered to them."""
    folder = tmp_path_factory.mktemp("served")
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=0.0005)).fit(DATA.data[:300], TRUTH[:300])
    write_package(estimator, name="tumour", version="1", repository=folder / "models")
    records = folder / "records.jsonl"
    answers: list[list[dict[str, Any]]] = []
    with live_server(folder / "models", records=records, compile="off") as server:
        for number in range(40):
            rows = DATA.data[300 + 5 * number : 305 + 5 * number].tolist()
            asked = {"instances": rows, "outputs": ["predict", "predict_proba"]}
            sent = server.api.post("/v1/models/tumour:predict", json=asked, headers={"x-request-id": f"r{number}"})
            answers.append(sent.json()["predictions"])
        assert server.predict("tumour", [DATA.data[0].tolist()]).status_code == 200  # without an id
        wait_until(lambda: server.metric("model_manager_prediction_records_total", outcome="sent") == 41, "records")
    return records, answers


def labelled(path: Path, rows: int, at: str = "") -> Path:
    lines = [f"r{number // 5},{number % 5},{TRUTH[300 + number]},{at}" for number in range(rows)]
    path.write_text("\n".join(["request_id,row,label,at", *lines]), encoding="utf-8")
    return path


def scored(*arguments: object) -> Result:
    return run(score_labels, *arguments, "--model", "tumour")


def test_figures_are_those_of_sklearn_on_the_same_rows(
    served: tuple[Path, list[list[dict[str, Any]]]], tmp_path: Path
) -> None:
    records, answers = served
    arguments = [labelled(tmp_path / "labels.csv", 150), "--records", records, "--classes", ",".join(NAMES), "--json"]
    result = scored(*arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    (version,) = told["versions"]
    truth = TRUTH[300:450]
    rows = [row for answer in answers for row in answer][:150]
    chances = [row["predict_proba"] for row in rows]
    assert (version["version"], version["predictions"], version["labelled"]) == ("1", 200, 150)
    assert version["coverage"] == 0.75
    assert version["metrics"] == {
        "accuracy": pytest.approx(accuracy_score(truth, [row["predict"] for row in rows]), abs=1e-6),
        "log_loss": pytest.approx(log_loss([one == NAMES[1] for one in truth], [row[1] for row in chances]), abs=1e-6),
        "roc_auc": pytest.approx(
            roc_auc_score([one == NAMES[1] for one in truth], [row[1] for row in chances]), abs=1e-6
        ),
    }
    assert told["unusable_records"] == 1


def test_only_mature_predictions_count_and_labels_that_came_in_that_time(
    served: tuple[Path, list[list[dict[str, Any]]]], tmp_path: Path
) -> None:
    records, _ = served
    aged = tmp_path / "aged.jsonl"
    now = datetime.now(UTC)
    events = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    for number, event in enumerate(events):  # the second half an hour ago, the first two days ago
        event["time"] = (now - timedelta(hours=48 if number < 20 else 1)).isoformat()
        event["data"]["version"] = "1" if number < 30 else "2"
    aged.write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    soon, late = (now - timedelta(hours=40)).isoformat(), now.isoformat()
    result = scored(labelled(tmp_path / "soon.csv", 200, soon), "--records", aged, "--maturity", 24, "--json")
    first, second = json.loads(result.stdout)["versions"]
    assert (first["predictions"], first["labelled"], first["coverage"]) == (100, 100, 1.0)
    assert first["median_lag_s"] == pytest.approx(8 * 3600, abs=60)
    assert (second["predictions"], second["labelled"]) == (0, 0)
    result = scored(labelled(tmp_path / "late.csv", 200, late), "--records", aged, "--maturity", 24)
    assert result.exit_code == 3
    assert "0.0%" in result.stdout


def test_what_cannot_be_joined_is_left_out_and_told(
    served: tuple[Path, list[list[dict[str, Any]]]], tmp_path: Path
) -> None:
    records, _ = served
    twice = tmp_path / "twice.jsonl"
    text = records.read_text(encoding="utf-8")
    twice.write_text(text + text.splitlines()[0] + '\n{"torn": ', encoding="utf-8")
    result = scored(labelled(tmp_path / "labels.csv", 199), "--records", twice)
    assert result.exit_code == 0
    assert "195" in result.stdout
    assert "1 request ids name several requests" in result.stderr
    assert "2 records have no request id" in result.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("request_id,truth\nr0,benign", "no column 'label'"),
        ("request_id,row,label\nr0,first,benign", "line 2: row 'first' is no whole number"),
        ("request_id,label,at\nr0,benign,yesterday", "at 'yesterday' no time"),
    ],
)
def test_labels_that_cannot_be_read_are_refused_by_place(
    served: tuple[Path, list[list[dict[str, Any]]]], tmp_path: Path, text: str, told: str
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(text, encoding="utf-8")
    assert told in failure(score_labels, labels, "--records", served[0], "--model", "tumour")
