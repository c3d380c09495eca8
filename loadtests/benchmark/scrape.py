"""How long a scrape takes, and how much it delays predictions, where there are many versions."""

import http.client
import json
import socket
import statistics
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import click
import yaml
from model_manager.errors import PackageRefused
from rich.console import Console

from models.samples import build_sample
from tools.cores import choose_cores
from tools.machine import describe_commit, describe_machine, now
from tools.patience import LIMIT_S, Limit
from tools.processes import ROOT, ProcessFailed, stop_when_told
from tools.scrape_cost import RESULT, SCRAPES, summary
from tools.servers import Server, model_manager

WHOLE_VERSIONS = 1000
_ROW = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
_MANY = b'{"instances": [%s]}' % b", ".join([b"[5.1, 3.5, 1.4, 0.2]"] * 100)
_TOLD_S = 60.0
_LOAD_S = 0.3
"""The most that a version may take to become ready: each is tried in a process of its own first."""
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What scrapes cost; times in milliseconds. `prediction_*`: predictions one after the other beside the scrapes."""

    versions: int
    samples: int
    megabytes: float
    idle_scrape_ms: float
    scrape_ms: float
    slowest_scrape_ms: float
    prediction_alone_p99_ms: float
    prediction_beside_p99_ms: float


def write_manifest(versions: int, folder: Path) -> None:
    """Ask for so many models of one version, all from one artifact, each of which is loaded and counted by itself."""
    build_sample("iris", "1", folder / "packages", created=None)
    artifact = str(folder / "packages" / "iris" / "1" / "model.joblib")
    models = {f"iris-{number}": {"versions": {"1": {"artifact": artifact}}} for number in range(versions)}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}), encoding="utf-8")


class Client:
    """One connection that is kept, for predictions."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)

    def predict(self, model: str, body: bytes = _ROW) -> float:
        """Milliseconds of a prediction. Raises ProcessFailed for any status but 200."""
        started = perf_counter()
        self._connection.request("POST", f"/v1/models/{model}:predict", body, _JSON)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise ProcessFailed(f"{model}: {answer.status} {text[:200].decode(errors='replace')}")
        return (perf_counter() - started) * 1e3


def scrape(address: str) -> tuple[float, bytes]:
    """Milliseconds and text of a scrape, read as fast as the kernel gives it: a Python client would time itself.

    Raises ProcessFailed for any status but 200.
    """
    host, _, port = urlsplit(address).netloc.partition(":")
    started = perf_counter()
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while part := connection.recv(1 << 20):
            parts.append(part)
    elapsed = (perf_counter() - started) * 1e3
    text = b"".join(parts)
    if not text.startswith(b"HTTP/1.1 200 "):
        raise ProcessFailed(f"GET /metrics: {text[:200].decode(errors='replace')}")
    return elapsed, text


def measure(running: Server, versions: int) -> Cost:
    """Ask every version for many rows, scrape, and predict beside the scrapes. Raises ProcessFailed."""
    api, admin = Client(running.api), running.addresses["admin"]
    text = _ask_until_drift_is_told(api, admin, versions)  # the first scrapes write what later ones keep
    alone = [api.predict("iris-0") for _ in range(500)]
    done = threading.Event()
    beside: list[float] = []

    def predict() -> None:
        client = Client(running.api)
        while not done.is_set():
            beside.append(client.predict("iris-0"))

    idle = [scrape(admin)[0] for _ in range(SCRAPES)]
    scrapes = []
    for _ in range(SCRAPES):
        for number in range(versions):
            api.predict(f"iris-{number}")
        scrapes.append(scrape(admin)[0])
    predicting = threading.Thread(target=predict)
    predicting.start()
    for _ in range(SCRAPES):
        scrape(admin)
    done.set()
    predicting.join()
    return Cost(
        versions=versions,
        samples=sum(1 for line in text.splitlines() if line.startswith((b"model_manager_", b"process_", b"python_"))),
        megabytes=round(len(text) / 1e6, 1),
        idle_scrape_ms=round(statistics.median(idle), 1),
        scrape_ms=round(statistics.median(scrapes), 1),
        slowest_scrape_ms=round(max(scrapes), 1),
        prediction_alone_p99_ms=round(statistics.quantiles(alone, n=100)[98], 2),
        prediction_beside_p99_ms=round(statistics.quantiles(beside, n=100)[98], 2),
    )


def _ask_until_drift_is_told(api: Client, admin: str, versions: int) -> bytes:
    """Ask every version for so many rows that a scrape shows how far its columns drifted, and give that scrape's text.

    Raises ProcessFailed.
    """
    told: set[bytes] = set()
    limit = Limit(_TOLD_S)
    while not limit.passed():
        for number in range(versions):
            api.predict(f"iris-{number}", _MANY)
        text = scrape(admin)[1]
        told = {line.partition(b",")[0] for line in text.splitlines() if line.startswith(b"model_manager_drift_psi{")}
        if len(told) == versions or b"model_manager_drift_window_rows{" not in text:
            return text
    raise ProcessFailed(f"the drift of {len(told)} of {versions} versions is told after {limit.so_far:.0f} s")


@click.command(epilog="Example: python -m loadtests.benchmark.scrape --versions 100")
@click.option("--versions", type=click.IntRange(1, 10_000), default=WHOLE_VERSIONS, show_default=True)
@click.option("--without-drift", is_flag=True, help="With --drift-rows-per-s 0: what a scrape takes less.")
@click.option("--json", "json_path", metavar="PATH", help="Where the figures go; - is standard output.")
@click.option("--record", is_flag=True, help="Write the figures that the documentation shows.")
def main(versions: int, without_drift: bool, json_path: str | None, record: bool) -> None:
    """Measure what a scrape of many versions costs, on this machine; takes a minute for a thousand.

    Writes build/scrape.json, or with --record loadtests/results/scrape.json.
    """
    if record and (versions != WHOLE_VERSIONS or without_drift):
        raise click.UsageError(f"--record is for {WHOLE_VERSIONS:,} versions: leave out --versions and --without-drift")
    console = Console(stderr=True)
    stop_when_told()
    cores = choose_cores()
    try:
        with tempfile.TemporaryDirectory(prefix="model-manager-scrape-") as temporary:
            folder = Path(temporary)
            write_manifest(versions, folder)
            flags = ["--compile", "off", *(["--drift-rows-per-s", "0"] if without_drift else [])]
            with (
                console.status(f"loading {versions} versions, and scraping them"),
                model_manager(
                    "model-manager", folder, core=cores.server, flags=flags, limit_s=LIMIT_S + versions * _LOAD_S
                ) as running,
            ):
                cost = measure(running, versions)
    except (ProcessFailed, PackageRefused) as error:
        raise click.ClickException(str(error)) from None
    document = {"started": now(), **describe_commit(), "machine": describe_machine(), **asdict(cost)}
    text = json.dumps(document, indent=1) + "\n"
    if json_path == "-":
        sys.stdout.write(text)
    else:
        path = Path(json_path) if json_path else RESULT if record else ROOT / "build" / "scrape.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        console.print(f"figures: {path}", highlight=False)
    console.print(summary(document), highlight=False)


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.scrape")
