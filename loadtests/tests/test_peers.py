"""Other servers beside this one: what is asked of each, and a whole run with ours alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from loadtests.benchmark.answers import WrongAnswer
from loadtests.benchmark.timing import SERVER
from loadtests.peers.command import WORKLOADS, main
from loadtests.peers.measuring import compare
from loadtests.peers.servers import PEERS, Place, free_ports
from tools.parts import program_of_debian

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])
ANSWERS = {
    SERVER: {"predictions": [1.0, 2.0]},
    "FastAPI": {"predictions": [1.0, 2.0]},
    "MLServer": {"outputs": [{"data": [1.0, 2.0]}]},
    "BentoML": [1.0, 2.0],
    "MLflow": {"predictions": [1.0, 2.0]},
    "LitServe": {"predictions": [1.0, 2.0]},
}


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_is_given_the_rows_and_its_answer_is_read(name: str, tmp_path: Path) -> None:
    peer = PEERS[name]
    numbers = [value for value in json.dumps(json.loads(peer.body("iris", ROWS))).split() if "." in value]
    assert [float(value.strip('[],{}"')) for value in numbers] == [1, 2, 3, 4]
    assert peer.path("iris").startswith("/")
    compare(peer.predictions(ANSWERS[name]), np.array([1.0, 2.0]), name)
    artifact = tmp_path / "model.joblib"
    artifact.touch()
    command = peer.command(Place(Path("/bin"), tmp_path / "own", 1234, {"iris": artifact}))
    told = " ".join(command) + "".join(path.read_text() for path in (tmp_path / "own").glob("*.json"))
    assert "1234" in told


def test_another_answer_than_the_estimators_is_wrong() -> None:
    with pytest.raises(WrongAnswer, match="FastAPI"):
        compare([1.0, 2.1], np.array([1.0, 2.0]), "FastAPI")
    with pytest.raises(WrongAnswer, match="setosa"):
        compare(["setosa"], np.array(["virginica"]), "FastAPI")


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


@pytest.mark.timeout(600)
def test_a_run_times_every_workload_and_says_who_is_missing(tmp_path: Path) -> None:
    program_of_debian("wrk", "wrk")
    path = tmp_path / "peers.json"
    ran = CliRunner().invoke(main, ["--only", SERVER, "--seconds", "1", "--rounds", "1", "--json", str(path)])
    assert ran.exit_code == 0, ran.output
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["workloads"].keys() == WORKLOADS.keys()
    assert all(one[SERVER]["rate"] > 0 for one in document["workloads"].values())
    assert "Triton" in document["not_measured"]


def test_an_unknown_peer_is_wrong_usage() -> None:
    ran = CliRunner().invoke(main, ["--only", "Nobody"])
    assert (ran.exit_code, "none of" in ran.output) == (2, True)
