"""`make demo`: train, serve, let the world change, and see who notices."""

import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click
from model_manager.errors import PackageRefused
from rich.console import Console

from tests.demo.stage import Stage, stage
from tests.demo.story import Story
from tests.demo.traffic import traffic
from tests.observability.interruption import Interruption, alone_at_the_terminal
from tests.observability.prometheus import QueryFailed, require_prometheus
from tools.processes import ProcessFailed, stop_when_told

_LOOK_S = 0.5
_WIDTH = 120


@click.command(epilog="Example: python -m tests.demo --seconds 0 --pictures docs")
@click.option("--seconds", type=click.FloatRange(min=0), help="Stop so long after the story; default: at Ctrl-C.")
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Take pictures of the console and of this text into this folder at the end; needs Chromium.",
)
@click.option("--prometheus-port", type=click.IntRange(0, 65535), default=0, help="Default: any free one.")
def main(seconds: float | None, pictures: Path | None, prometheus_port: int) -> None:
    """Serve a model whose new version is right until prices rise, and show who notices: console, alerts, canary.

    Starts and stops everything itself, on the loopback. Exit code 1: something did not start, or somebody who should
    have noticed did not.
    """
    console = Console(record=True, width=None if sys.stdout.isatty() else _WIDTH)
    progress = Console(stderr=True)
    stop_when_told()
    interruption = Interruption()
    try:
        require_prometheus()
        with (
            tempfile.TemporaryDirectory(prefix="model-manager-demo-") as temporary,
            alone_at_the_terminal(),
            ExitStack() as running,
        ):
            with progress.status("training two versions, starting a server and Prometheus") as status:
                watched = running.enter_context(stage(Path(temporary), prometheus_port=prometheus_port))
                going = running.enter_context(traffic(watched.server.api))
                Story(watched, going, console, status.update).tell()
            if pictures is not None:
                from tests.demo.pictures import take  # which needs more than the story

                for taken in take(watched, console, pictures):
                    progress.print(f"picture: {taken}", highlight=False)
            _look_on(watched, seconds, progress)
            interruption.ignore_more()
    except KeyboardInterrupt:
        progress.print("stopped", highlight=False)
    except (ProcessFailed, PackageRefused, QueryFailed) as error:
        if not interruption.came:  # which a terminal tells to all that run, and some end by it first
            raise click.ClickException(str(error)) from None


def _look_on(watched: Stage, seconds: float | None, progress: Console) -> None:
    """Let it be looked at until it is time, or Ctrl-C; raises ProcessFailed when the server ends meanwhile."""
    end = None if seconds is None else time.monotonic() + seconds
    if end is None:
        progress.print("Everything goes on; Ctrl-C stops it.", highlight=False)
    with suppress(KeyboardInterrupt):
        while end is None or time.monotonic() < end:
            watched.server.check()
            time.sleep(_LOOK_S)
