"""`model-manager canary`: ask Prometheus, compare, print, and exit with a code that a pipeline can act on.

In the flow: cli → **canary** → evidence → comparison → report. What takes long to import is imported when it runs.
"""

import sys
import traceback

import click

from model_manager.commands.canary_options import limits_options, seconds, where_options
from model_manager.commands.terminal import fail, json_option
from model_manager.errors import QueryFailed

_EPILOG = """\b
Exit codes:
  0  canary is no worse: go on
  1  canary is worse: roll back
  2  wrong usage, Prometheus cannot be asked, or interrupted
  3  not enough requests, or labels, yet: ask again later

\b
Examples:
  model-manager canary --model iris --namespace models
  model-manager canary --model iris --by version --stable 1 --canary 2 --window 1h --json

An error is a 5xx; what the client did wrong (4xx, 499) is no error and counts as no request. Something is worse when it
is above its limit and chance does not explain it (p < 0.001): errors and latency by Fisher's exact test, labels by
total variation and resampling, numbers by Kolmogorov-Smirnov. Errors that chance does not explain are worse even with
fewer than --min-requests. Where labels come (docs/live-accuracy.md), answers are compared whose time for a label ended
within the window: classes by Fisher's exact test, numbers by resampling their absolute errors. Wrong answers that
chance does not explain are worse even with fewer than --min-labels.
"""


def _time(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    from model_manager.ledger import read_time  # which takes longer to import than all the rest of the command takes

    try:
        return read_time(value).timestamp()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(epilog=_EPILOG)
@click.option("--model", required=True, help="The model to compare.")
@where_options
@click.option(
    "--by",
    type=click.Choice(["track", "version"]),
    default="track",
    show_default=True,
    help="What tells the two sides apart: the label track, which the chart sets, or the version that answered.",
)
@click.option("--stable", metavar="NAME", help="Track or version that serves now.  [default: stable]")
@click.option("--canary", metavar="NAME", help="Track or version that should replace it.  [default: canary]")
@click.option(
    "--window",
    "window_s",
    default="10m",
    show_default=True,
    metavar="TIME",
    callback=seconds,
    help="How far back to look.",
)
@click.option("--at", metavar="TIME", callback=_time, help="When the window ends.  [default: now]")
@limits_options
@json_option
def canary(
    model: str,
    url: str,
    namespace: str | None,
    matchers: tuple[str, ...],
    by: str,
    stable: str | None,
    canary: str | None,
    window_s: int,
    at: float | None,
    as_json: bool,
    **limits: float,
) -> None:
    """Compare a canary with stable, from what Prometheus saw of both, and say whether to go on or to roll back."""
    if by == "version" and (stable is None or canary is None):
        raise click.UsageError("--by version needs the two versions: --stable 1 --canary 2")
    try:
        from model_manager.rollout import report
        from model_manager.rollout.comparison import Limits, compare
        from model_manager.rollout.evidence import Question, gather
        from model_manager.rollout.prometheus import Prometheus, quoted

        if namespace is not None:
            matchers = (f"namespace={quoted(namespace)}", *matchers)
        prometheus = Prometheus(url)
        question = Question(
            model=model,
            label="track" if by == "track" else "model_version",
            matchers=matchers,
            window_s=window_s,
            at=prometheus.now() if at is None else at,
        )
        stable_side = gather(prometheus, question, stable or "stable")
        canary_side = gather(prometheus, question, canary or "canary")
        comparison = compare(stable_side, canary_side, Limits(**limits))  # type: ignore[arg-type]
        click.echo(report.document(comparison, question) if as_json else report.text(comparison, question))
    except QueryFailed as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; there is no verdict")
    except Exception:  # Python would exit with 1, which says: roll back
        traceback.print_exc()
        sys.exit(2)
    sys.exit(report.EXIT_CODES[comparison.verdict])
