"""Options that the commands share which compare two sides by what Prometheus saw of them: where it is, and limits."""

import re
from collections.abc import Callable
from typing import Any

import click

_MATCHER = re.compile(r'[a-zA-Z_]\w*(=|!=|=~|!~)"([^"\\]|\\.)*"')
_WINDOW = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_share = click.FloatRange(0, 1)


def seconds(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Read a time such as 1h30m, in seconds."""
    match = _WINDOW.fullmatch(value)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0, 0)
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total:
        raise click.BadParameter(f"{value!r} is not a time such as 90s, 10m or 1h30m")
    return total


def _matchers(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _MATCHER.fullmatch(value):
            raise click.BadParameter(f'{value!r} is not a matcher such as pod=~"models-.*"')
    return values


_WHERE_OPTIONS = (
    click.option(
        "--prometheus",
        "url",
        default="http://localhost:9090",
        show_default=True,
        metavar="URL",
        help="Where Prometheus answers; a path is kept.",
    ),
    click.option("--namespace", help="Only series of this namespace."),
    click.option(
        "--match",
        "matchers",
        multiple=True,
        metavar="MATCHER",
        callback=_matchers,
        help='Only series that this matcher of PromQL selects, such as job="models"; may be given several times.',
    ),
)


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which Prometheus to ask, and which of its series count."""
    for option in reversed(_WHERE_OPTIONS):
        command = option(command)
    return command


_LIMITS_OPTIONS = (
    click.option(
        "--min-requests",
        type=click.IntRange(1),
        default=100,
        show_default=True,
        help="Requests that each side needs, less the clients' faults.",
    ),
    click.option(
        "--max-error-increase",
        type=_share,
        default=0.001,
        show_default=True,
        help="By how much the share of errors may be higher.",
    ),
    click.option(
        "--max-p99-ratio",
        type=click.FloatRange(0, min_open=True),
        default=1.5,
        show_default=True,
        help="How many times the p99 of stable the p99 of canary may be.",
    ),
    click.option(
        "--max-distance",
        type=_share,
        default=0.2,
        show_default=True,
        help="How far the predictions may be apart before it is said: 0 same, 1 nothing in common.",
    ),
    click.option(
        "--min-labels",
        type=click.IntRange(1),
        default=100,
        show_default=True,
        help="Labels that each side needs, where labels come at all.",
    ),
    click.option(
        "--max-accuracy-drop",
        type=_share,
        default=0.01,
        show_default=True,
        help="By how much the share of right answers may be lower, where labels come.",
    ),
    click.option(
        "--max-error-ratio",
        type=click.FloatRange(0, min_open=True),
        default=1.1,
        show_default=True,
        help="How many times the mean absolute error of stable that of canary may be, where labels are numbers.",
    ),
    click.option(
        "--fail-on-drift", is_flag=True, help="Take it for worse when columns drift on canary and not on stable."
    ),
    click.option(
        "--fail-on-distance", is_flag=True, help="Take predictions that far apart for worse; a new model may differ."
    ),
)


def limits_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the canary may do worse before it counts, and the requests that each side needs."""
    for option in reversed(_LIMITS_OPTIONS):
        command = option(command)
    return command
