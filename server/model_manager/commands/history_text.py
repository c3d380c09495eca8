"""What `model-manager history` prints for people: a moment, a time line, or what a repository holds.

What is foreign is shown without its markup and its control characters.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from model_manager.commands.terminal import new_table, print_table
from model_manager.inventory.lineage import Made
from model_manager.ledger import Answered, Event, History, Moment, VersionThen

_DIGEST: Final = 12
_QUIET: Final = ("wanted", "fetching", "loading", "proving", "draining")
"""States on the way to another one, which people need not see; `--json` tells them."""


def print_moment(moment: Moment, model: str | None) -> None:
    """Print what served at one moment; nothing where that is not known."""
    if not moment.known or not moment.processes:
        return
    click.echo(f"{model or 'every model'} at {_time(moment.at)}\n")
    for state in moment.wanted:
        who = f", changed by {_plain(state.by)}" if state.by else ", changed by: not said"
        commit = f" in commit {_plain(state.commit)}" if state.commit else ""
        where = f", in {state.processes} of {moment.processes} processes" if len(moment.wanted) > 1 else ""
        click.echo(f"wanted since {_time(state.since)}: {state.form} {state.generation[:_DIGEST]}{who}{commit}{where}")
    if not moment.versions:
        return
    several = moment.processes > 1
    columns = ["model", "version", "state", "default", "answered in that minute"]
    table = new_table(None, [*columns, "processes"] if several else columns, right=("answered in that minute",))
    for one in moment.versions:
        default = "" if not one.default else "yes" if one.default == moment.processes else f"in {one.default}"
        cells = [
            one.model,
            one.version,
            one.state,
            default,
            _codes(one.answered) if moment.counted else "not counted yet",
        ]
        table.add_row(*map(_escaped, cells), *([f"{one.processes} of {moment.processes}"] if several else []))
    print_table(table)
    for one in moment.versions:
        _print_origin(one)


def _print_origin(one: VersionThen) -> None:
    digest = f"sha256 {one.sha256[:_DIGEST]}…, " if one.sha256 else ""
    click.echo(f"\n{one.model}/{one.version}: {digest}{one.state} since {_time(one.since)}")
    if one.default_since is not None:
        click.echo(f"  the default since {_time(one.default_since)}")
    if one.reason:
        click.echo(f"  {_plain(one.reason)}")
    for line in _origin(one.said, one.signed_by) if one.said is not None else ():
        click.echo(f"  {line}")


def _origin(said: Mapping[str, Any], signed_by: str | None) -> list[str]:
    """Where a version comes from, in lines."""
    created = f"made         {_plain(said['created'])}" if said.get("created") else ""
    owner = f"owner        {_plain(said['owner'])}" if said.get("owner") else ""
    data = _data(said.get("data"))
    evaluation = _evaluation(said.get("evaluation"))
    return [
        *filter(None, (created, owner)),
        f"trained on   {data or 'its package does not say what'}",
        f"evaluated    {evaluation or 'its package does not say how'}",
        f"signed by    {_plain(signed_by) if signed_by else 'the server asks for no signature'}",
    ]


def _data(data: object) -> str:
    if not isinstance(data, Mapping):
        return ""
    words = [f"{data['rows']:,} rows" if isinstance(data.get("rows"), int) else ""]
    for name, label in (("sha256", "sha256"), ("git_commit", "git"), ("dvc_md5", "dvc"), ("version", "version")):
        if data.get(name):
            words.append(f"{label} {_plain(data[name])[:_DIGEST]}")
    return f"{_plain(data.get('uri', ''))} ({', '.join(filter(None, words))})"


def _evaluation(evaluation: object) -> str:
    if not isinstance(evaluation, Mapping):
        return ""
    metrics = evaluation.get("metrics")
    said = ", ".join(f"{_plain(name)} {value:.3f}" for name, value in _numbers(metrics))
    on = f" on {_plain(evaluation['dataset'])}" if evaluation.get("dataset") else ""
    return f"{said}{on}" if said else ""


def _numbers(metrics: object) -> list[tuple[str, float]]:
    if not isinstance(metrics, Mapping):
        return []
    return [(str(name), float(value)) for name, value in metrics.items() if isinstance(value, int | float)]


def print_history(history: History) -> None:
    """Print what happened, and how much each version answered."""
    click.echo(f"the ledger knows from {_time(history.begins)} on\n")
    if history.left_off:
        click.echo(f"{history.left_off:,} earlier events are left off; name a later --since, or an earlier --until\n")
    table = new_table(None, ["time (UTC)", "what", "why, or by whom"])
    for event in history.events:
        what, why = _told(event)
        if what:
            several = f" ({event.processes} processes)" if event.processes > 1 else ""
            table.add_row(event.at.strftime("%Y-%m-%d %H:%M:%S"), _escaped(what), _escaped((why + several).strip()))
    if table.row_count:
        print_table(table)
    else:
        click.echo("nothing changed in that time")
    _print_answered(history.answered)
    for one in history.versions:
        click.echo(f"\n{one.model}/{one.version}: sha256 {one.sha256[:_DIGEST]}…")
        for line in _origin(one.said, one.signed_by):
            click.echo(f"  {line}")


def _told(event: Event) -> tuple[str, str]:
    """One event in words; empty ones for what only machines need to know."""
    generation = (event.generation or "")[:_DIGEST]
    if event.what == "began":
        return f"a server began on {event.host}", f"version {event.reason}"
    if event.what == "ended":
        return "a server stopped", "it was asked to"
    if event.what == "wanted":
        models = ", ".join(event.models) or "the same versions"
        commit = f", commit {event.commit}" if event.commit else ""
        who = f"by {event.by}{commit}" if event.by else "nobody says by whom"
        return f"another state is wanted: {models}", f"{who} ({generation})"
    if event.what == "in force":
        return "what is wanted is in force", generation
    if event.what == "default":
        now = f"{event.model} is answered by {event.to}" if event.to else f"no version answers for {event.model}"
        return now, f"before by {event.was}" if event.was else ""
    if event.to in _QUIET:
        return "", ""
    return f"{event.model}/{event.version} {'failed' if event.to == 'failed' else f'is {event.to}'}", event.reason


def _print_answered(answered: Sequence[Answered]) -> None:
    if not answered:
        return
    classes = ("2xx", "4xx", "5xx")
    table = new_table("requests answered", ["model", "version", *classes, "from", "to (UTC)"], right=classes)
    for one in answered:
        sums = [sum(count for code, count in one.codes.items() if code[0] == each[0]) for each in classes]
        times = (time.strftime("%Y-%m-%d %H:%M") for time in (one.first, one.last))
        table.add_row(_escaped(one.model), _escaped(one.version), *(f"{each:,}" for each in sums), *times)
    click.echo()
    print_table(table)


def print_made(made: Sequence[Made]) -> None:
    """Print the versions of a repository, in the order in which they were made."""
    table = new_table(None, ["model", "version", "made (UTC)", "trained on", "evaluated", "signed"])
    for one in made:
        created = one.created.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if one.created is not None else "not said"
        data = one.problem or _data(one.data) or "not said"
        evaluation = _evaluation(one.evaluation) or "not said"
        cells = (one.model, one.version, created, data, evaluation, "yes, not verified" if one.signed else "no")
        table.add_row(*map(_escaped, cells))
    print_table(table)


def _codes(answered: Mapping[str, int]) -> str:
    if not answered:
        return "0"
    return ", ".join(f"{count:,} × {code}" for code, count in sorted(answered.items()))


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _plain(value: object) -> str:
    return "".join(each if each.isprintable() else "�" for each in str(value))


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(_plain(text))
