"""`model-manager predict --url`: by a running server, through a proxy that is busy, breaks off, and is held."""

import http.client
import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from model_manager import load
from model_manager.cli import cli

from tests.live import LiveServer, live_server, wait_until
from tools.processes import Process

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bulk-scoring.md"
ROWS = 60


class Proxy(ThreadingHTTPServer):
    """Hands requests on. `faults` are used up first: a status to answer with, or 0 to break off.

    Rows beyond `most` are held until it is killed.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.to = port
        self.faults: list[int] = []
        self.most = 10**9
        self.rows = 0
        self.counting = threading.Lock()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._hand_on("GET", None)

    def do_POST(self) -> None:
        proxy = cast(Proxy, self.server)
        body = self.rfile.read(int(self.headers["content-length"]))
        with proxy.counting:
            fault = proxy.faults.pop() if proxy.faults else None
            if fault is None:
                proxy.rows += json.loads(body)["inputs"][0]["shape"][0]
            held = proxy.rows > proxy.most
        if held:
            proxy.released.wait()
        elif fault is None:
            self._hand_on("POST", body)
        elif fault:
            self.send_response(fault)
            self.send_header("retry-after", "0")
            self.end_headers()
        else:
            self.close_connection = True

    def _hand_on(self, method: str, body: bytes | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", cast(Proxy, self.server).to)
        connection.request(method, self.path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples) as running:
        yield running


@contextmanager
def proxy_of(server: LiveServer) -> Iterator[Proxy]:
    with Proxy(server.api.base_url.port or 0) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.released.set()
            proxy.shutdown()
            thread.join()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).uniform(0.1, 7, (ROWS, 4)).round(2)
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    file = tmp_path / "flowers.csv"
    pd.DataFrame(rows, columns=names).assign(id=range(ROWS)).to_csv(file, index=False)
    return file


def predict(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["predict", *map(str, arguments)])


OUTPUTS = ("--outputs", "predict,predict_proba")


def test_a_server_answers_as_its_package_whatever_stands_between(
    server: LiveServer, samples: Path, table: Path
) -> None:
    with proxy_of(server) as proxy:
        proxy.faults = [503, 0, 503, 502, 429]
        told = predict("--url", proxy.url, "--model", "iris", table, "--batch-rows", 7, *OUTPUTS)
    assert told.exit_code == 0, told.output
    assert not proxy.faults
    assert proxy.rows == ROWS
    found = pd.read_csv(io.BytesIO(told.stdout_bytes))
    answers = load(samples / "iris" / "2").predict(pd.read_csv(table), ["predict", "predict_proba"])
    assert isinstance(answers, dict)
    assert found["id"].tolist() == list(range(ROWS))
    assert found["predict"].tolist() == answers["predict"].tolist()
    probabilities = found.filter(like="predict_proba_")
    assert probabilities.columns.tolist() == [f"predict_proba_{one}" for one in ("setosa", "versicolor", "virginica")]
    np.testing.assert_allclose(probabilities, answers["predict_proba"], rtol=0, atol=1e-6)


def test_a_killed_run_asks_for_no_row_again_that_was_kept(server: LiveServer, table: Path, tmp_path: Path) -> None:
    out, notes = tmp_path / "out.csv", tmp_path / "out.csv.part.json"

    def kept() -> int:
        return int(json.loads(notes.read_text("utf-8"))["rows"]) if notes.exists() else 0

    with proxy_of(server) as proxy:
        arguments = ["predict", "--url", proxy.url, "--model", "iris", table, "-o", out, "--batch-rows", 5, *OUTPUTS]
        command = [sys.executable, "-m", "model_manager", *map(str, arguments), "--concurrency", "1"]
        proxy.most = 25
        with Process("predict", command) as running:
            wait_until(lambda: kept() == 25, "rows to be kept")
            running.end(signal.SIGKILL)
        proxy.most, proxy.rows = 10**9, 0
        told = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
        assert told.exit_code == 0, told.output
        assert json.loads(told.stdout)["resumed_after"] == 25
        assert proxy.rows == ROWS - 25
        at_once = predict("--url", proxy.url, "--model", "iris", table, *OUTPUTS)
    assert out.read_bytes() == at_once.stdout_bytes


def test_two_runs_do_not_write_one_file(server: LiveServer, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with proxy_of(server) as proxy:
        proxy.most = 0
        arguments = ["predict", "--url", proxy.url, "--model", "iris", table, "-o", out]
        with Process("predict", [sys.executable, "-m", "model_manager", *map(str, arguments)]) as running:
            wait_until(lambda: proxy.rows > 0, "it to ask")
            told = predict(*arguments[1:])
            running.end(signal.SIGKILL)
    assert told.exit_code == 2
    assert "another run is writing it" in told.stderr


def test_what_a_server_cannot_answer_ends_the_run_in_one_line(server: LiveServer, table: Path) -> None:
    url = str(server.api.base_url)
    unknown = predict("--url", url, "--model", "nothing", table)
    assert (unknown.exit_code, "'nothing'" in unknown.stderr.replace('"', "'")) == (2, True), unknown.stderr
    with proxy_of(server) as proxy:
        proxy.faults = [503] * 1000
        busy = predict("--url", proxy.url, "--model", "iris", table, "--patience", "0.3")
    assert busy.exit_code == 2
    assert "answers 503" in busy.stderr
    assert len(busy.stderr.strip().splitlines()) == 1
    gone = predict("--url", proxy.url, "--model", "iris/2", table, "--patience", "0")
    assert (gone.exit_code, "cannot be asked" in gone.stderr) == (2, True), gone.stderr


def test_it_reads_and_writes_pipes(server: LiveServer, table: Path) -> None:
    command = [sys.executable, "-m", "model_manager", "predict", "--url", str(server.api.base_url), "--model", "iris/1"]
    ran = subprocess.run([*command, "-"], input=table.read_bytes(), capture_output=True, check=True)
    assert ran.stdout.count(b"\n") == ROWS + 1
    assert ran.stderr.decode().startswith(f"{ROWS} rows by iris/1 at ")


def test_the_lines_of_the_page_ask_by_arrow(server: LiveServer, table: Path) -> None:
    (lines,) = (
        one.partition("```")[0] for one in PAGE.read_text(encoding="utf-8").split("```python\n") if "def ask(" in one
    )
    page: dict[str, Any] = {}
    exec(lines, page)
    rows = pa.Table.from_pandas(pd.read_csv(table).drop(columns="id"), preserve_index=False)
    answer = page["ask"](f"{server.api.base_url}/v2/models/iris/infer", rows)
    told = predict("--url", server.api.base_url, "--model", "iris", table)
    assert answer["predict"].to_pylist() == pd.read_csv(io.BytesIO(told.stdout_bytes))["predict"].tolist()
