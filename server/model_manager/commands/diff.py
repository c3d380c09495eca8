"""`model-manager diff`: what two versions differ in, from what is said of them, or from the estimators as well.

In the flow: cli → **diff** → inventory. What takes long to import is imported when it runs.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from model_manager.commands.asking import key_options, plain
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table, working
from model_manager.errors import LoadFailed, PackageRefused, QueryFailed

if TYPE_CHECKING:
    from model_manager.inventory.descriptions import Description
    from model_manager.inventory.differences import Difference

_EPILOG = """\b
Exit codes:
  0  equal
  1  they differ
  2  wrong usage, or one of them cannot be read or asked

\b
Examples:
  model-manager diff build/models/iris/1 build/models/iris/2
  model-manager diff build/models/iris/1 build/models/iris/2 --load
  model-manager diff build/models/iris/2 http://localhost:8080/iris/2
  model-manager diff http://localhost:8080/iris/1 http://localhost:8080/iris/2 --json

A and B are packages (REPO/N/V), or serve: http://host:port/N/V on the port of the API. A server tells less than a
package, and what only one side can tell is not compared. Name, version, time, golden rows and baselines are never
compared. Which of the two is better, `model-manager compare` finds out.
"""
_LONGEST: Final = 60
_MOST_OF_A_PART: Final = 15
_DIGEST: Final = re.compile("[0-9a-f]{40,64}")


@click.command(epilog=_EPILOG)
@click.argument("a")
@click.argument("b")
@click.option("--load", is_flag=True, help="Load both packages, which runs their code, and compare the estimators.")
@click.option("--skops-trusted", default="", metavar="TYPES", help="With --load: types that skops artifacts may hold.")
@key_options
@json_option
def diff(
    a: str,
    b: str,
    load: bool,
    skops_trusted: str,
    api_key_file: Path | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Show what B differs in from A: inputs, outputs, data, libraries, evaluation, and the estimator with --load."""
    from model_manager.inventory.descriptions import made_comparable
    from model_manager.inventory.differences import differences

    key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else api_key
    trusted = tuple(filter(None, map(str.strip, skops_trusted.split(",")))) if load else None
    try:
        one, other = (_described(each, key, trusted) for each in (a, b))
    except (PackageRefused, QueryFailed) as error:
        fail(str(error))
    except LoadFailed as error:
        fail(f"{error.reason}: {error}")
    found = differences(*made_comparable(one, other))
    if as_json:
        from msgspec import to_builtins

        print_json({"a": a, "b": b, "equal": not found, "differences": to_builtins(found)})
    else:
        _print(one, other, found)
    sys.exit(1 if found else 0)


def _described(where: str, key: str | None, trusted: tuple[str, ...] | None) -> "Description":
    from model_manager.inventory.descriptions import describe_package, describe_served, with_estimator

    if where.startswith(("http://", "https://")):
        if trusted is not None:
            raise QueryFailed(f"{where}: a server hands out no estimator to look at; leave --load out")
        return describe_served(where, key)
    description, package = describe_package(Path(where))
    if trusted is None:
        return description
    with working(f"loading {description.called}"):
        return with_estimator(description, package, skops_trusted=trusted)


def _print(a: "Description", b: "Description", found: "list[Difference]") -> None:
    if metrics := list(_metrics(a, b)):
        table = new_table("evaluation", ["metric", a.called, b.called, "difference"], right=(a.called, b.called))
        for row in metrics:
            table.add_row(*map(plain, row))
        print_table(table)
    rest = [one for one in found if not (one.of == "evaluation" and one.what.startswith("metrics."))]
    if rest:
        table = new_table("differences", ["", "", a.called, b.called])
        for of in dict.fromkeys(one.of for one in rest):
            own = [one for one in rest if one.of == of]
            for one in own[:_MOST_OF_A_PART]:
                table.add_row(*map(plain, _row(one)))
            if len(own) > _MOST_OF_A_PART:
                table.add_row(plain(of), f"{len(own) - _MOST_OF_A_PART} more: --json lists them", "", "")
        print_table(table)
    click.echo(f"{len(found)} differences" if len(found) > 1 else "1 difference" if found else "equal")


def _metrics(a: "Description", b: "Description") -> Iterable[tuple[str, str, str, str]]:
    """Every metric that one of them was evaluated by, side by side, equal ones as well."""
    one, other = ((each.said.get("evaluation") or {}).get("metrics") or {} for each in (a, b))
    for name in dict.fromkeys((*one, *other)):
        both = name in one and name in other
        left, right = (f"{side[name]:.4g}" if name in side else "" for side in (one, other))
        yield name, left, right, f"{other[name] - one[name]:+.4g}" if both else ""


def _row(one: "Difference") -> tuple[str, str, str, str]:
    a, b = one.a, one.b
    if isinstance(a, dict) and isinstance(b, dict):  # of two that changed, what changed
        a, b = ({name: side.get(name) for name in {**a, **b} if a.get(name) != b.get(name)} for side in (a, b))
    what = one.what.removeprefix("parameters.") or one.change
    return one.of, what, "" if one.change == "added" else _shown(a), "" if one.change == "removed" else _shown(b)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(each)}" for name, each in value.items())
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if _DIGEST.fullmatch(text):
        return f"{text[:12]}…"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
