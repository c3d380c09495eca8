"""What several workers hold in memory: imports and arrays of models once, whatever became of the workers meanwhile."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.neighbors import KNeighborsRegressor

from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put

WORKERS = 3
MB = 1 << 20
ROW = [[0.0] * 8]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of 8 MB of arrays, and a small one."""
    folder = tmp_path_factory.mktemp("shared") / "models"
    put(folder, "large", "1", dump(_large(1.0)))
    put(folder, "small", "1", dump(DummyRegressor().fit([[0.0]], [1.0])))
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[LiveServer]:
    """Workers that serve them."""
    flags: dict[str, Any] = {"compile": "off", "load_isolation": "none", "poll_interval_s": 0.2}
    with live_server(models, workers=WORKERS, **flags) as server:
        yield server


def test_imports_lie_in_memory_once(server: LiveServer) -> None:
    processes = [server.process.pid, *_template(server), *_workers(server)]
    assert len(processes) == 2 + WORKERS
    resident = sum(_of(process, "Rss") for process in processes)
    proportional = sum(_of(process, "Pss") for process in processes)
    assert proportional < 0.6 * resident  # 0.97 where each imports for itself, 0.4 as it should be
    (template,) = _template(server)
    for process in _workers(server):
        assert _libraries(process) <= _libraries(template), "what a worker imports later, each has for itself"
    supervisor = server.process.pid  # 0.04; 0.16 where the template does after its fork what both could have shared
    assert _of(supervisor, "Private_Dirty") < 0.1 * _of(supervisor, "Rss")


def test_a_model_lies_in_memory_once_and_so_does_a_version_that_comes_later(server: LiveServer, models: Path) -> None:
    assert _large_copies(server) == [1] * WORKERS
    before = sum(_mapped(worker, "Pss") for worker in _workers(server))
    assert 8 * MB < before < 1.3 * 8 * MB  # of three
    put(models, "large", "2", dump(_large(2.0)))
    wait_until(lambda: server.predict("large", ROW).json() == {"predictions": [2.0]}, "the later version")
    wait_until(lambda: _large_copies(server) == [2] * WORKERS, "all workers to have both")
    assert sum(_mapped(worker, "Pss") for worker in _workers(server)) < 1.3 * 16 * MB
    (models / "large" / "1").rename(models.parent / "gone")
    wait_until(lambda: _large_copies(server) == [1] * WORKERS, "the older version to be let go of")
    wait_until(lambda: _kept(server) == 1, "its copy to go with the last that held it")
    assert server.predict("small", [[0.0]]).json() == {"predictions": [1.0]}


def test_a_worker_that_takes_the_place_of_one_that_died_shares_again(server: LiveServer) -> None:
    first = _workers(server)
    kept = _kept(server)
    os.kill(first[0], signal.SIGKILL)
    wait_until(lambda: len(set(_workers(server)) - set(first)) == 1, "another worker")
    wait_until(lambda: _large_copies(server) == [1] * WORKERS, "it to have the model")
    assert _kept(server) == kept
    assert sum(_mapped(worker, "Pss") for worker in _workers(server)) < 1.3 * 8 * MB


def test_without_its_template_a_server_serves_on_and_shares_among_those_that_come(server: LiveServer) -> None:
    first = _workers(server)
    (template,) = _template(server)
    os.kill(template, signal.SIGKILL)
    wait_until(lambda: not set(first) & set(_workers(server)), "other workers, of another template")
    wait_until(lambda: len(_workers(server)) == WORKERS, "all of them")
    wait_until(server.ready, "them to be ready")
    wait_until(lambda: _large_copies(server) == [1] * WORKERS, "them to share")
    wait_until(
        lambda: not [worker for worker in first if Path(f"/proc/{worker}").exists()], "the first ones to be gone"
    )
    assert server.predict("large", ROW).status_code == 200


def _large(answer: float) -> KNeighborsRegressor:
    rows = np.random.default_rng(0).random((MB // 8, 8)) + 1
    return KNeighborsRegressor(1, algorithm="brute").fit(rows, np.full(len(rows), answer, dtype=np.float32))


def _born(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # one a thread
    return [int(child) for children in lists for child in children.read_text(encoding="utf-8").split()]


def _template(server: LiveServer) -> list[int]:
    return _born(server.process.pid)


def _workers(server: LiveServer) -> list[int]:
    return [worker for template in _template(server) for worker in _born(template)]


def _libraries(pid: int) -> set[str]:
    """The shared libraries that a process has loaded."""
    lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    return {path for line in lines if ".so" in (path := line.split(maxsplit=5)[-1]) and path.startswith("/")}


def _of(pid: int, what: str) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    return int(re.search(rf"^{what}:\s+(\d+) kB", text, re.M)[1]) << 10  # type: ignore[index]


def _mappings(pid: int) -> list[str]:
    """What /proc tells of each mapping of a copy."""
    try:
        text = Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return []
    return [
        part for part in re.split(r"^(?=[0-9a-f]+-)", text, flags=re.M) if "/memfd:model" in part.partition("\n")[0]
    ]


def _mapped(pid: int, what: str) -> int:
    """How many bytes of copies a process has in memory."""
    found = [re.search(rf"^{what}:\s+(\d+) kB", part, re.M) for part in _mappings(pid)]
    return sum(int(one[1]) << 10 for one in found if one is not None)


def _large_copies(server: LiveServer) -> list[int]:
    """How many copies each worker has mapped."""
    return [len({part.split()[4] for part in _mappings(worker)}) for worker in _workers(server)]


def _kept(server: LiveServer) -> int:
    """How many copies the template keeps."""
    (template,) = _template(server)
    links = [os.readlink(entry) for entry in Path(f"/proc/{template}/fd").iterdir() if entry.is_symlink()]
    return sum("/memfd:model" in link for link in links)
