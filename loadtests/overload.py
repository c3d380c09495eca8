"""What becomes of requests at many times a model's capacity: a real server, a model of known cost, a crowd.

python -m loadtests.overload: what is accepted should be answered in time, and the rest told at once; another model of
the same server should hardly notice, and the memory should stay where it was.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import click
import joblib
import yaml
from rich.console import Console
from rich.table import Table
from sklearn.dummy import DummyRegressor

from tools.open_loop import Crowd, Outcome
from tools.paced_estimator import PacedRegressor
from tools.servers import Server, model_manager

_ROW: Final = json.dumps({"instances": [[1.0, 2.0]]}).encode()
_LARGE: Final = json.dumps({"instances": [[1.0, 2.0]] * 10_000}).encode()
_COLUMNS: Final = {
    "accepted_per_s": "answered per s",
    "of_capacity": "of capacity",
    "kept_deadline": "accepted in time",
    "refused_per_s": "refused per s",
    "refused_p50_ms": "503 p50 ms",
    "refused_p99_ms": "503 p99 ms",
    "beside_p99_ms": "other model p99 ms",
    "memory_mb": "memory MB",
    "recovery_s": "recovery s",
}


def build(folder: Path, *, row_s: float, timeout_ms: float) -> None:
    """Write a model of a known cost, one that is cheap beside it, and one that large requests are sent to."""
    fitted = [[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0]
    estimators = {
        "paced": PacedRegressor(row_s=row_s).fit(*fitted),
        "quick": DummyRegressor().fit(*fitted),
        "shared": PacedRegressor(batch_s=0.001, row_s=0.00002).fit(*fitted),
    }
    for name, estimator in estimators.items():
        joblib.dump(estimator, folder / f"{name}.joblib")
    models: dict[str, Any] = {name: {"versions": {"1": {"artifact": f"{name}.joblib"}}} for name in estimators}
    models["paced"] |= {"timeout_ms": timeout_ms, "batching": {"max_rows": 8}}
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": models}), encoding="utf-8")


def _crowd(server: Server, model: str, body: bytes = _ROW, headers: Mapping[str, str] | None = None) -> Crowd:
    return Crowd(server.api, f"/v1/models/{model}:predict", body, headers)


def _memory_mb(server: Server) -> float:
    status = Path(f"/proc/{server.popen.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def _press(server: Server, rate: float, seconds: float, capacity: float) -> dict[str, float]:
    async with _crowd(server, "paced") as many, _crowd(server, "quick") as other:
        pressed, beside = await asyncio.gather(many.run(rate, seconds), other.run(50, seconds))
        memory, began = _memory_mb(server), perf_counter()
        single = Outcome()
        while not single.statuses[200]:
            await many.ask(single)
        recovery = perf_counter() - began
    answered, late = pressed.statuses[200], pressed.statuses[504]
    return {
        "accepted_per_s": answered / pressed.seconds,
        "of_capacity": answered / pressed.seconds / capacity,
        "kept_deadline": answered / max(answered + late, 1),
        "refused_per_s": pressed.statuses[503] / pressed.seconds,
        "refused_p50_ms": pressed.quantile(503, 0.5) * 1e3,
        "refused_p99_ms": pressed.quantile(503, 0.99) * 1e3,
        "beside_p99_ms": beside.quantile(200, 0.99) * 1e3,
        "memory_mb": memory,
        "recovery_s": recovery,
    }


async def _fair(server: Server, seconds: float) -> dict[str, float]:
    """Single rows beside eight clients of ten thousand rows each, to one model."""
    async with _crowd(server, "shared") as singles, _crowd(server, "shared", _LARGE) as large:
        quiet = await singles.run(50, seconds)
        among, many = await asyncio.gather(singles.run(50, seconds), large.loop(8, seconds))
    return {
        "singles_answered": among.statuses[200] / max(sum(among.statuses.values()), 1),
        "quiet_p99_ms": quiet.quantile(200, 0.99) * 1e3,
        "singles_p99_ms": among.quantile(200, 0.99) * 1e3,
        "large_answered_per_s": many.statuses[200] / many.seconds,
        "large_refused_per_s": many.statuses[503] / many.seconds,
    }


async def measure(server: Server, *, seconds: float, times: tuple[int, ...]) -> dict[str, Any]:
    """Measure the capacity by eight clients that ask without a pause, then press with multiples of it."""
    async with _crowd(server, "paced") as clients, _crowd(server, "quick") as other:
        alone = await clients.loop(8, min(seconds, 5))
        quiet = await other.run(50, min(seconds, 5))
    capacity = alone.statuses[200] / alone.seconds
    runs = {f"{each}x": await _press(server, capacity * each, seconds, capacity) for each in times}
    return {
        "capacity_per_s": capacity,
        "quiet_p99_ms": quiet.quantile(200, 0.99) * 1e3,
        "runs": runs,
        "large_requests": await _fair(server, min(seconds, 10)),
    }


@click.command(epilog="Example: python -m loadtests.overload --seconds 10 --json")
@click.option("--seconds", default=60.0, show_default=True, help="How long each load lasts.")
@click.option("--row-ms", default=50.0, show_default=True, help="What a row costs the model.")
@click.option("--timeout-ms", default=2000.0, show_default=True, help="The model's deadline.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(seconds: float, row_ms: float, timeout_ms: float, as_json: bool) -> None:
    """Press a server with 3 and 30 times what a model can do, and print what became of the requests."""
    with TemporaryDirectory(prefix="model-manager-") as folder:
        build(Path(folder), row_s=row_ms / 1000, timeout_ms=timeout_ms)
        with model_manager("overload", Path(folder), flags=["--compile", "off"]) as server:
            found = asyncio.run(measure(server, seconds=seconds, times=(3, 30)))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(title=f"{found['capacity_per_s']:.0f} rows a second can be answered", title_justify="left")
    table.add_column("")
    for name in found["runs"]:
        table.add_column(name, justify="right")
    for key, words in _COLUMNS.items():
        table.add_row(words, *(f"{run[key]:.4g}" for run in found["runs"].values()))
    Console().print(table)
    print(f"the other model's p99 when all is quiet: {found['quiet_p99_ms']:.1f} ms")
    print("single rows beside eight clients of 10,000 rows each:")
    for key, value in found["large_requests"].items():
        print(f"  {key.replace('_', ' ')}: {value:.4g}")


if __name__ == "__main__":
    main(prog_name="python -m loadtests.overload")
