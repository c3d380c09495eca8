"""`make observe`: servers, Prometheus with the chart's rules, an OTLP receiver and traffic, to be looked at."""

import contextlib
import sys
import tempfile
import time
from pathlib import Path

import click
from model_manager.errors import PackageRefused
from rich.console import Console
from rich.table import Table

from tests.observability.interruption import Interruption, alone_at_the_terminal
from tests.observability.picture import draw
from tests.observability.prometheus import QueryFailed, require_prometheus
from tests.observability.stage import Stage, stage
from tests.observability.traffic import Traffic, traffic
from tools.processes import ProcessFailed, stop_when_told
from tools.terminal_tables import print_table

_LOOK_S = 0.5


@click.command(epilog="Example: python -m tests.observability --seconds 70 --picture docs/dashboard.png")
@click.option("--seconds", type=click.FloatRange(min=1), help="Stop by itself after so long; default: at Ctrl-C.")
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the dashboard at the end, a picture for each of its rows: x.png gives x-latency.png and others.",
)
@click.option("--prometheus-port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="0: any free.")
def main(seconds: float | None, picture: Path | None, prometheus_port: int) -> None:
    """Run a stable server and a canary under traffic, watched by Prometheus and an OTLP receiver.

    Says where to look. Starts and stops everything itself, on the loopback. Exit code 1: something did not start, or
    ended by itself.
    """
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)
    stop_when_told()
    interruption = Interruption()
    try:
        require_prometheus()
        with (
            tempfile.TemporaryDirectory(prefix="model-manager-observe-") as temporary,
            alone_at_the_terminal(),
            contextlib.ExitStack() as running,
        ):
            with console.status("training the sample models, starting servers"):
                watched = running.enter_context(stage(Path(temporary), prometheus_port=prometheus_port))
            going = running.enter_context(traffic(watched))
            print_table(console, _places(watched))
            console.print(f"\ntry\n{_line_to_try(watched)}\n", soft_wrap=True, markup=False, highlight=False)
            started = time.time()
            _look_on(watched, going, seconds, console)
            interruption.ignore_more()
            if picture is not None and interruption.came:
                console.print("no picture: it is drawn after --seconds, from a Prometheus that runs", highlight=False)
            elif picture is not None:
                caption = f"{going.sent} requests in {time.time() - started:.0f} s"
                for drawn in draw(watched.prometheus, start=started, end=time.time(), caption=caption, path=picture):
                    console.print(f"picture: {drawn}", highlight=False)
    except KeyboardInterrupt:
        console.print("stopped", highlight=False)
    except (ProcessFailed, PackageRefused, QueryFailed) as error:
        if not interruption.came:  # which a terminal tells to all that run, and some end by it first
            raise click.ClickException(str(error)) from None


def _look_on(watched: Stage, going: Traffic, seconds: float | None, console: Console) -> None:
    """Wait until it is time, or Ctrl-C; raises ProcessFailed when a server ends meanwhile."""
    end = None if seconds is None else time.monotonic() + seconds
    with contextlib.suppress(KeyboardInterrupt), console.status("") as status:
        while end is None or time.monotonic() < end:
            for server in (*watched.servers.values(), watched.receiver):
                server.check()
            status.update(f"{going.sent} requests sent; Ctrl-C stops everything")
            time.sleep(_LOOK_S)


def _places(watched: Stage) -> Table:
    stable, canary = watched.servers["stable"], watched.servers["canary"]
    table = Table(title="where to look", title_justify="left", show_header=False)
    for what, where in (
        ("API, stable", stable.api),
        ("API, canary", canary.api),
        ("metrics, stable", f"{stable.addresses['admin']}/metrics"),
        ("metrics, canary", f"{canary.addresses['admin']}/metrics"),
        ("Prometheus", watched.prometheus.page("/query", "/graph", "/classic/graph")),
        ("alerts", watched.prometheus.page("/alerts", "/classic/alerts", "/api/v1/alerts")),
        ("spans received", f"{watched.receiver.api}/spans"),
    ):
        table.add_row(what, where)
    return table


def _line_to_try(watched: Stage) -> str:
    """A request, as one line for a shell."""
    url = f"{watched.servers['stable'].api}/v1/models/iris:predict"
    return f"curl -s {url} -H 'content-type: application/json' -d '{{\"instances\": [[6.0, 2.8, 4.8, 1.6]]}}'"
