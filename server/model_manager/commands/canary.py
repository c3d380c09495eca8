"""`model-manager canary`: ask Prometheus, compare, print, and exit with a code that a pipeline can act on.

In the flow: cli → **canary** → evidence → comparison → report. What takes long to import is imported when it runs.
"""

import re
import sys
import traceback
from datetime import UTC, datetime

import click

from model_manager.commands.terminal import fail, json_option
from model_manager.errors import QueryFailed

_MATCHER = re.compile(r'[a-zA-Z_]\w*(=|!=|=~|!~)"([^"\\]|\\.)*"')
_WINDOW = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")

_EPILOG = """\b
Exit codes:
  0  canary is no worse: go on
  1  canary is worse: roll back
  2  wrong usage, Prometheus cannot be asked, or interrupted
  3  not enough requests yet: ask again later

\b
Examples:
  model-manager canary --model iris --namespace models
  model-manager canary --model iris --by version --stable 1 --canary 2 --window 1h --json

An error is a 5xx; what the client did wrong (4xx, 499) is no error and counts as no request. Something is worse when it
is above its limit and chance does not explain it (p < 0.001): errors and latency by Fisher's exact test, labels by
total variation and resampling, numbers by Kolmogorov-Smirnov. Errors that chance does not explain are worse even with
fewer than --min-requests.
"""


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    match = _WINDOW.fullmatch(value)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total:
        raise click.BadParameter(f"{value!r} is not a time such as 90s, 10m or 1h30m")
    return total


def _time(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a time such as 2026-11-02T15:04:05Z or 1793631845") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _matchers(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _MATCHER.fullmatch(value):
            raise click.BadParameter(f'{value!r} is not a matcher such as pod=~"models-.*"')
    return values


_share = click.FloatRange(0, 1)


@click.command(epilog=_EPILOG)
@click.option("--model", required=True, help="The model to compare.")
@click.option(
    "--prometheus",
    "url",
    default="http://localhost:9090",
    show_default=True,
    metavar="URL",
    help="Where Prometheus answers; a path is kept.",
)
@click.option("--namespace", help="Only series of this namespace.")
@click.option(
    "--match",
    "matchers",
    multiple=True,
    metavar="MATCHER",
    callback=_matchers,
    help='Only series that this matcher of PromQL selects, such as job="models"; may be given several times.',
)
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
    callback=_seconds,
    help="How far back to look.",
)
@click.option("--at", metavar="TIME", callback=_time, help="When the window ends.  [default: now]")
@click.option(
    "--min-requests",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Requests that each side needs, less the clients' faults.",
)
@click.option(
    "--max-error-increase",
    type=_share,
    default=0.001,
    show_default=True,
    help="By how much the share of errors may be higher.",
)
@click.option(
    "--max-p99-ratio",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="How many times the p99 of stable the p99 of canary may be.",
)
@click.option(
    "--max-distance",
    type=_share,
    default=0.2,
    show_default=True,
    help="How far the predictions may be apart before it is said: 0 same, 1 nothing in common.",
)
@click.option(
    "--fail-on-distance", is_flag=True, help="Take predictions that far apart for worse; a new model may differ."
)
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
    except (Exception, KeyboardInterrupt):  # Python would exit with 1, which says: roll back
        traceback.print_exc()
        sys.exit(2)
    sys.exit(report.EXIT_CODES[comparison.verdict])
