"""What `isolation: process` costs a prediction: the same model with and without it, asked one after the other."""

import http.client
import json
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import click
import yaml
from model_manager.errors import PackageRefused

from models.samples import build_sample
from tools.cores import choose_cores
from tools.processes import ProcessFailed, stop_when_told
from tools.servers import Server, ask, model_manager

_MODELS = {
    "compiled": {"compile": "auto"},
    "scikit-learn": {},
    "isolated": {"isolation": "process"},
}
_ROW = [5.1, 3.5, 1.4, 0.2]
_ROUNDS = 20
_ASKED = 50


def write_manifest(folder: Path) -> None:
    """Ask for one artifact in every way."""
    build_sample("iris", "1", folder / "packages", created=None)
    artifact = str(folder / "packages" / "iris" / "1" / "model.joblib")
    models = {name: {"versions": {"1": {"artifact": artifact}}, **options} for name, options in _MODELS.items()}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}), encoding="utf-8")


def is_compiled(api: str) -> bool:
    """Whether the model that is to be compiled is."""
    rows = json.loads(ask(f"{api}/v2/repository/index", b"").body)
    return any(row["name"] == "compiled" and row["parameters"]["form"] != "sklearn" for row in rows)


def measure(running: Server, rows: int) -> dict[str, float]:
    """The median, in microseconds, of a prediction of so many rows, for each model; in turns, so that all get the same
    share of what else the machine does. Raises ProcessFailed for any status but 200.
    """
    connection = http.client.HTTPConnection(urlsplit(running.api).netloc, timeout=60)
    body = json.dumps({"instances": [_ROW] * rows}).encode()
    times: dict[str, list[float]] = {name: [] for name in _MODELS}
    for _ in range(_ROUNDS):
        for name, measured in times.items():
            for _ in range(_ASKED):
                started = perf_counter()
                connection.request("POST", f"/v1/models/{name}:predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    raise ProcessFailed(f"{name}: {answer.status} {text[:200].decode(errors='replace')}")
                measured.append((perf_counter() - started) * 1e6)
    connection.close()
    return {name: statistics.median(measured) for name, measured in times.items()}


@click.command(epilog="Example: python -m loadtests.benchmark.isolation")
def main() -> None:
    """Measure what a process of its own costs a model's predictions, on this machine; takes half a minute."""
    stop_when_told()
    cores = choose_cores()
    click.echo(f"{'rows':>5} {'compiled':>14} {'scikit-learn':>14} {'isolated':>14} {'over scikit-learn':>24}")
    try:
        with tempfile.TemporaryDirectory(prefix="model-manager-isolation-") as temporary:
            write_manifest(Path(temporary))
            flags = ("--compile", "off")
            with model_manager("model-manager", Path(temporary), core=cores.server, flags=flags) as running:
                running.wait_for(lambda: is_compiled(running.api), "to have compiled one")
                for rows in (1, 256):
                    found = measure(running, rows)
                    more = found["isolated"] - found["scikit-learn"]
                    ratio = found["isolated"] / found["scikit-learn"]
                    shown = "".join(f"{found[name]:>12,.0f} µs" for name in _MODELS)
                    click.echo(f"{rows:>5} {shown} {more:>+12,.0f} µs ({ratio:.2f}x)")
    except (ProcessFailed, PackageRefused) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="python -m loadtests.benchmark.isolation")
