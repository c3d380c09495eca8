"""What a person reads when a server has come up: what is served, a line to try it, where to look further.

In the flow: process → **greeting** → standard error, once every wanted version is ready or has failed. Logs for
machines go without it.
"""

from collections.abc import Mapping
from typing import Final, TextIO

from model_manager.api.front import easiest
from model_manager.serving.system import System

_MOST_NAMES: Final = 10
_LONGEST_WAIT_S: Final = 600.0
_EVERYWHERE: Final = ("0.0.0.0", "[::]")


async def greet(system: System, *, addresses: Mapping[str, str], stream: TextIO) -> None:
    """Wait until the models are loaded, and say so in three lines. `addresses`: of `api` and `admin`.

    `stream` is standard error as it was before models might print there: serving/printing.py.
    """
    await system.loaded(limit_s=_LONGEST_WAIT_S)
    if not system.registry.stopping:
        stream.write("".join(f"{line}\n" for line in _lines(system, addresses)))
        stream.flush()


def _lines(system: System, addresses: Mapping[str, str]) -> list[str]:
    settings = system.settings
    api, admin = (_reachable(addresses[name]) for name in ("api", "admin"))
    views = system.registry.models
    answering = sorted(name for name, view in views.items() if view.default is not None)
    named = ", ".join([*answering[:_MOST_NAMES], *(["…"] if len(answering) > _MOST_NAMES else [])])
    silent = len(views) - len(answering)
    lines = [
        "",
        f"serving  {named or 'no model yet'} at {api}, from {settings.models}"
        + (f"; {silent} without a version that answers: {api}/v2/repository/index says why" if silent else ""),
    ]
    example = easiest(view.default for _, view in sorted(views.items()) if view.default is not None)
    if example is not None:
        lines.append(f"try      {example.line(api, by_key=settings.api_keys is not None)}")
    lines.append(f"look     {api}/docs and {admin}/console in a browser; {admin}/metrics for Prometheus; Ctrl-C stops")
    return lines


def _reachable(address: str) -> str:
    """An address that a person can open: a server that listens everywhere is at localhost, too."""
    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    return f"{scheme}://{'localhost' if host in _EVERYWHERE else host}:{port}"
