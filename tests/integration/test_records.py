"""Prediction records of a real server: what is written, what is not, and that no request waits for them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.event_receiver import event_receiver
from tests.integration.test_process import start
from tests.live import LiveServer, live_server, wait_until
from tests.models import constant, dump, put

ROW = {
    "contract": "month-to-month", "internet": "fiber", "payment_method": "invoice", "region": "north",
    "age": 23.5, "tenure_months": 2, "monthly_charges": 95.5, "support_calls": None,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "models", "m", "1", dump(constant(1.0)))
    return tmp_path / "models"


def outcomes(server: LiveServer) -> dict[str, float]:
    """How many records were sent, sampled out and dropped."""
    names = ("sent", "sampled_out", "dropped")
    return {name: server.metric("model_manager_prediction_records_total", outcome=name) for name in names}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_was_asked_and_answered_is_in_the_file_less_what_is_redacted(samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with live_server(samples, records=path, records_redact="region,predict") as server:
        headers = {"x-request-id": "r-1"}
        assert server.api.post("/v1/models/churn:predict", json={"instances": [ROW]}, headers=headers).is_success
        tensor = {"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [6.0, 2.8, 4.8, 1.6]}
        asked = {"id": "42", "inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
        answer = server.api.post("/v2/models/iris/infer", json=asked)
        assert server.predict("churn", [{**ROW, "age": "old"}]).status_code == 400  # no rows to record
        wait_until(lambda: outcomes(server) == {"sent": 2, "sampled_out": 0, "dropped": 0}, "both records")
        assert not server.logged("--records-redact names")
    churn, iris = (event["data"] for event in lines(path))
    assert churn["inputs"] == {name: [value] for name, value in ROW.items() if name != "region"}
    assert (churn["outputs"], churn["redacted"]) == ({}, ["region", "predict"])
    assert (churn["request_id"], churn["model"], churn["version"], churn["status"]) == ("r-1", "churn", "1", 200)
    assert b"north" not in path.read_bytes()
    assert (iris["request_id"], iris["version"]) == ("42", "2")
    assert list(iris["inputs"].values()) == [[6.0], [2.8], [4.8], [1.6]]
    (proba,) = answer.json()["outputs"]
    assert iris["outputs"]["predict_proba"] == [pytest.approx(proba["data"])]


def test_requests_are_answered_while_the_receiver_is_not_and_what_waits_arrives_in_the_end(folder: Path) -> None:
    with event_receiver() as receiver:
        receiver.gate.clear()
        with live_server(folder, records=receiver.url) as server:
            for _ in range(20):
                assert server.predict("m", [[1.0, 2.0]]).is_success
            wait_until(lambda: receiver.waiting, "the receiver to hold a batch")
            assert outcomes(server) == {"sent": 0, "sampled_out": 0, "dropped": 0}
            receiver.gate.set()
            wait_until(lambda: outcomes(server)["sent"] == 20, "every record")
            assert server.predict("m", [[3.0, 4.0]]).is_success
        assert len(receiver.events()) == 21  # the last of them while the server stopped


def test_a_dead_receiver_costs_records_and_no_request(folder: Path) -> None:
    with event_receiver() as receiver:
        url = receiver.url
    with live_server(folder, records=url) as server:
        assert server.predict("m", [[1.0, 2.0]]).is_success
        wait_until(lambda: outcomes(server)["dropped"] == 1, "the record to be dropped")
        assert len(server.logged("prediction records are dropped")) == 1


def test_workers_share_a_file_and_add_up_what_they_sampled(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with live_server(folder, records=path, records_sample=0.5, workers=2) as server:
        for _ in range(40):
            assert server.predict("m", [[1.0, 2.0]], "1").is_success
        wait_until(lambda: sum(outcomes(server).values()) == 40, "every record to be counted")
        counted = outcomes(server)
        assert counted["dropped"] == 0
        assert len(lines(path)) == counted["sent"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_records_that_can_go_nowhere_are_refused_at_start(folder: Path, workers: str) -> None:
    ended = start("--models", str(folder), "--workers", workers, "--records", "/absent/records.jsonl")
    assert ended.returncode == 2
    assert ended.stderr == (
        "model-manager: --records /absent/records.jsonl: cannot be appended to: No such file or directory\n"
    )


def test_a_record_names_its_callers_trace_though_nothing_is_traced_here(folder: Path, tmp_path: Path) -> None:
    path, trace, span = tmp_path / "records.jsonl", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    asked = [{"traceparent": f"00-{trace}-{span}-01"}, {"b3": f"{trace}-{span}-0"}, {"b3": "hello-world-1"}, {}]
    with live_server(folder, records=path) as server:
        for headers in asked:
            body = {"instances": [[1.0, 2.0]]}
            assert server.api.post("/v1/models/m:predict", json=body, headers=headers).is_success
        wait_until(lambda: outcomes(server)["sent"] == len(asked), "the records")
    assert [event["data"]["trace_id"] for event in lines(path)] == [trace, trace, None, None]
