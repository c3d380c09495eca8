"""Artifacts under other names: served where it is clear which is meant, listed with what was found where it is not."""

from pathlib import Path

from tests.live import live_server
from tests.models import constant, dump
from tools.patience import wait_until


def put(path: Path, answer: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dump(constant(answer)))


def test_other_names_are_served_or_told_of(tmp_path: Path) -> None:
    put(tmp_path / "named" / "3" / "svm.joblib", 3.0)
    put(tmp_path / "alone" / "model.pkl", 4.0)
    put(tmp_path / "both" / "1" / "model.joblib", 5.0)
    put(tmp_path / "both" / "2" / "a.joblib", 6.0)
    put(tmp_path / "both" / "2" / "b.joblib", 7.0)
    put(tmp_path / "foreign" / "1" / "model.cbm", 8.0)
    served, refused = {"named": 3.0, "alone": 4.0, "both": 5.0}, {"both": "2", "foreign": "1"}
    with live_server(tmp_path, wait=False) as server:
        wait_until(lambda: all(server.predict(one, [[1, 2]]).status_code == 200 for one in served), "what is clear")
        wait_until(lambda: all(server.status(*one)[0] == "UNAVAILABLE" for one in refused.items()), "what is not")
        answers = {model: server.predict(model, [[1, 2]]) for model in served}
        told = {model: server.status(model, version)[1] for model, version in refused.items()}
    assert {model: answer.json()["predictions"] for model, answer in answers.items()} == {
        model: [value] for model, value in served.items()
    }
    assert answers["alone"].headers["x-model-version"] == "1"
    assert "model.joblib: there is no such file; found a.joblib, b.joblib: check `artifact`, or name" in told["both"]
    assert "found model.cbm: write the model with joblib.dump, as model.joblib" in told["foreign"]
