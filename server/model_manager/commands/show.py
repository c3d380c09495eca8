"""`model-manager show`: all that is known of a version, for people at 80 columns.

In the flow: cli → **show** → inventory. What takes long to import is imported when it runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from model_manager.commands.asking import entries_of, plain, server_at, server_options, shown_size
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table
from model_manager.errors import QueryFailed

if TYPE_CHECKING:
    from model_manager.inventory.entry import Entry

_EPILOG = """\b
Exit codes:
  0  shown, whatever the state of the versions
  2  wrong usage, or it cannot be read or asked

\b
Examples:
  model-manager show build/models/iris/2
  model-manager show build/models/iris --json
  model-manager show --url http://localhost:8080 iris

Of a model, the version is shown that answers, or would answer, requests that name none; of several models that of each.
"""
_MOST_LISTED: Final = 8
_TOLD_ALREADY: Final = (
    *("name", "version", "versions", "created", "artifact", "data", "evaluation", "properties"),
    *("inputs", "outputs", "golden", "baseline"),
)
_TOLD_BY_ENTRY: Final = ("version", "sha256", "created", "data_", "evaluation")


@click.command(epilog=_EPILOG)
@click.argument("what", metavar="[REPO[/N[/V]]]", required=False)
@server_options
@json_option
def show(what: str | None, url: str | None, api_key_file: Path | None, api_key: str | None, as_json: bool) -> None:
    """Show a version: inputs, outputs, training data, evaluation, golden rows, baseline, libraries, integrity.

    With --url, name N or N/V to show less than all.
    """
    entries = _chosen(entries_of(what, url, api_key_file, api_key))
    try:
        if url is not None:
            server = server_at(url, api_key_file, api_key)
            said = [server.described(one.model, one.version) if one.version else None for one in entries]
        else:
            said = [_metadata(one) for one in entries]
    except QueryFailed as error:
        fail(str(error))
    if as_json:
        print_json({"versions": [one.document() | {"metadata": each} for one, each in zip(entries, said, strict=True)]})
        return
    for number, (one, each) in enumerate(zip(entries, said, strict=True)):
        if number:
            click.echo()
        _print(one, each or {})


def _chosen(entries: "list[Entry]") -> "list[Entry]":
    """Of each model the version that answers; all of those of which none does."""
    answering = {one.model for one in entries if one.default}
    if len({(one.model, one.version) for one in entries}) == 1:
        return entries
    return [one for one in entries if one.default or one.model not in answering]


def _metadata(one: "Entry") -> dict[str, Any] | None:
    """The metadata of a package of a repository as it is; None where there is none that can be read."""
    from model_manager.errors import LoadFailed
    from model_manager.repository.metadata import parse_metadata
    from model_manager.repository.packages import METADATA

    place = Path(one.location or "")
    folder = place if place.is_dir() else place.parent
    try:
        return parse_metadata((folder / METADATA).read_bytes()).model_dump(mode="json", exclude_none=True)
    except (OSError, LoadFailed):  # the entry says so
        return None


def _print(one: "Entry", said: Mapping[str, Any]) -> None:
    table = new_table(None, ["/".join(filter(None, (one.model, one.version))), ""])
    for name, value in _facts(one, said):
        table.add_row(plain(name), plain(value))
    print_table(table)
    _print_tensors("inputs", said.get("inputs"))
    _print_tensors("outputs", said.get("outputs"))
    _print_baseline(said.get("baseline"))


def _facts(one: "Entry", said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What is known of a version, by name, without what has a table of its own."""
    from model_manager.inventory.differences import flattened

    answers = "would answer" if one.location is not None else "answers"
    answers = f"; {answers} requests that name no version" if one.default else ""
    yield "state", f"{one.state}{answers}"
    facts = [
        ("why", one.reason),
        ("artifact", one.location),
        ("size", shown_size(one.bytes)),
        ("sha256", one.sha256),
        ("digest", _digest(one)),
        ("signed by", _signature(one)),
        ("created", one.created),
        *((f"data: {name}", value) for name, value in (one.data or {}).items()),
    ]
    evaluation = one.evaluation or {}
    if evaluation.get("dataset"):
        facts.append(("evaluated on", f"{evaluation['dataset']}, {evaluation.get('rows')} rows"))
    facts += [(f"  {name}", f"{value:.4g}") for name, value in (evaluation.get("metrics") or {}).items()]
    facts += [(f"  {name}", value) for name, value in flattened(_without(evaluation, ("dataset", "rows", "metrics")))]
    if golden := said.get("golden"):
        facts.append(("golden rows", len(golden["instances"])))
    properties = said.get("properties", {})  # of a server: what it says of the version beside inputs and outputs
    facts += ((name, value) for name, value in properties.items() if not name.startswith(_TOLD_BY_ENTRY))
    facts += ((name, _listing(value)) for name, value in flattened(_without(said, _TOLD_ALREADY)))
    yield from ((name, str(value)) for name, value in facts if value not in (None, ""))


def _without(values: Mapping[str, Any], left_out: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in left_out}


def _digest(one: "Entry") -> str:
    if one.integrity is None:
        return ""
    return {
        "ok": "the declared one",
        "differs": "NOT the declared one",
        "undeclared": "not declared: metadata.json names none",
        "unreadable": "the artifact cannot be read",
    }[one.integrity.digest]


def _signature(one: "Entry") -> str:
    if one.integrity is None or one.integrity.signed_by is None:
        return ""
    return f"{one.integrity.signed_by}, it says; `model-manager verify --key` finds out"


def _print_tensors(title: str, tensors: Sequence[Mapping[str, Any]] | None) -> None:
    if not tensors:
        return
    table = new_table(title, ["name", "datatype", "shape", "details"])
    for tensor in tensors:
        details = {**tensor.get("parameters", {}), **_without(tensor, ("name", "datatype", "shape", "parameters"))}
        shape = ", ".join(map(str, tensor["shape"])) if "shape" in tensor else ""
        said = "\n".join(f"{name}: {_listing(value)}" for name, value in details.items() if value is not False)
        table.add_row(*map(plain, (tensor["name"], tensor["datatype"], shape)), "\n".join(map(plain, said.split("\n"))))
    print_table(table)


def _listing(value: Any) -> str:
    if not isinstance(value, list):
        return {True: "yes"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    more = f" and {len(value) - _MOST_LISTED} more" if len(value) > _MOST_LISTED else ""
    return ", ".join(map(str, value[:_MOST_LISTED])) + more


def _print_baseline(baseline: Mapping[str, Any] | None) -> None:
    if not baseline:
        return
    table = new_table(
        "baseline of the training data", ["column", "values", "rows", "missing"], right=("rows", "missing")
    )
    for kind in ("features", "outputs"):
        for name, histogram in baseline.get(kind, {}).items():
            shown = plain(name) if kind == "features" else f"{plain(name)} (output)"
            rows = sum(histogram["counts"])
            table.add_row(shown, plain(_spread(histogram)), f"{rows:,}", f"{histogram.get('missing', 0):,}")
    print_table(table)


def _spread(histogram: Mapping[str, Any]) -> str:
    if edges := histogram.get("edges"):
        return f"{edges[0]:.4g} … {edges[-1]:.4g}"
    counted = sorted(zip(histogram.get("values") or (), histogram["counts"], strict=False), key=lambda pair: -pair[1])
    total = sum(histogram["counts"]) or 1
    return _listing([f"{value} {count / total:.0%}" for value, count in counted])
