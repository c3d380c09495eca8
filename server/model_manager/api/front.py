"""`GET /` for people: what is served, a line to try it, and where everything else is; programs get JSON (`app.Root`).

In the flow: app → **front**. One page without scripts and without anything from elsewhere; what is foreign in it, names
and reasons, is escaped. What a terminal is told at start has its line to try from here, too.
"""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from model_manager.api.authentication import may_see
from model_manager.codecs.schemas import v1_example
from model_manager.serving.index import IndexRow
from model_manager.serving.servable import Servable
from model_manager.serving.system import System
from model_manager.version import __version__

_MOST_ROWS: Final = 200
_MOST_TRIED: Final = 50
_LONGEST_LINE: Final = 20_000
_HOST: Final = re.compile(r"[\w.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?", re.ASCII)
_HTML: Final = "text/html; charset=utf-8"
_STYLE: Final = """
:root { color-scheme: light dark; --faint: #57606a; --line: #d0d7de; --code: #f6f8fa; --link: #0969da; --bad: #b35900 }
@media (prefers-color-scheme: dark) {
  :root { --faint: #9198a1; --line: #3d444d; --code: #151b23; --link: #4493f8; --bad: #d29922 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
p.faint, td.faint { color: var(--faint); margin-top: 0 } a { color: var(--link) }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .75rem .35rem 0; vertical-align: top }
td:first-child, td.faint { overflow-wrap: anywhere } td:first-child { min-width: 8rem } td.faint { width: 60% }
.UNAVAILABLE { color: var(--bad) }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; padding: .8rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere }
code, pre { font: 14px/1.45 ui-monospace, monospace } li { margin: .2rem 0 }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "vary": "accept",
}
_LINKS: Final = (
    ("docs", "try every route in the browser"),
    ("openapi.json", "the same for programs: OpenAPI 3.1"),
    ("v2/repository/index", "every version, its state, and why"),
    ("v2/models/stats", "what each version has answered"),
)


class Try(NamedTuple):
    """A request to try: a model, and the body of V1 that it answers, as JSON."""

    model: str
    body: str

    def line(self, base: str, *, by_key: bool) -> str:
        """The request as a line for a shell; `base` is the address of the API, and `by_key` asks for a key."""
        key = " -H 'authorization: Bearer YOUR_KEY'" if by_key else ""
        return (
            f"curl -s {base}/v1/models/{self.model}:predict -H 'content-type: application/json'{key} "
            f"-d {shlex.quote(self.body)}"
        )


def easiest(servables: Iterable[Servable]) -> Try | None:
    """The request to try that is the shortest, of some; a row of it is typical, and nobody's."""
    found: list[Try] = []
    for number, servable in enumerate(servables):
        if number >= _MOST_TRIED:
            break
        metadata = servable.provenance.metadata
        golden = metadata.golden.instances if metadata.golden is not None else ()
        row = v1_example(servable.signature, metadata.public_categories or {}, golden)
        found.append(Try(servable.id.model, json.dumps({"instances": [row]}, ensure_ascii=False)))
    shortest = min(found, key=lambda one: (len(one.body), one.model), default=None)
    return shortest if shortest is not None and len(shortest.body) <= _LONGEST_LINE else None


def prefers_page(accept: str) -> bool:
    """Whether whoever sends this header asks for HTML by name, and wants JSON no more than that."""
    html, json_ = -1.0, -1.0
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_weight(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
        if kind in ("text/html", "application/xhtml+xml"):
            html = max(html, weight)
        elif kind == "application/json":
            json_ = max(json_, weight)
    return html > 0 and html >= json_


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


class Front:
    """The page of one server."""

    def __init__(self, system: System) -> None:
        self._registry = system.registry
        self._index = system.index
        self._settings = system.settings

    async def page(self, request: Request) -> Response:
        """Show what the caller may see."""
        rows = [row for row in await self._index() if may_see(request, row.name)]
        views = self._registry.models
        defaults = [views[name].default for name in dict.fromkeys(row.name for row in rows) if name in views]
        example = easiest(one for one in defaults if one is not None)
        by_key, port = self._settings.api_keys is not None, self._settings.admin_port
        return Response(_html(_base(request), rows, example, by_key, port), media_type=_HTML, headers=_HEADERS)


def _base(request: Request) -> str:
    """The address as the caller wrote it, if it is one."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"


def _html(base: str, rows: Sequence[IndexRow], example: Try | None, by_key: bool, metrics_port: int) -> str:
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>model-manager</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f'<h1>model-manager</h1><p class="faint">version {escape(__version__)}, an inference server</p>',
        "<h2>What is served</h2>",
        *_table(rows),
    ]
    if example is not None:
        parts += ["<h2>Try it</h2>", f"<pre>{escape(example.line(base, by_key=by_key))}</pre>"]
    parts += ["<h2>Where else</h2><ul>"]
    parts += [f'<li><a href="{where}">/{where}</a>: {what}</li>' for where, what in _LINKS]
    parts += [f"<li>{_metrics(base, metrics_port)}: what Prometheus scrapes, on the admin port</li></ul></body></html>"]
    return "\n".join(parts)


def _table(rows: Sequence[IndexRow]) -> Iterable[str]:
    if not rows:
        yield "<p>Nothing yet: put a version into the models folder, and it is served a moment later.</p>"
        return
    yield "<table><tr><th>model</th><th>version</th><th>state</th><th></th></tr>"
    for row in rows[:_MOST_ROWS]:
        name = escape(row.name)
        model = f'<a href="v2/models/{name}">{name}</a>' if row.state == "READY" else name
        yield (
            f"<tr><td>{model}</td><td>{escape(row.version)}</td>"
            f'<td class="{escape(row.state)}">{escape(row.state)}</td>'
            f'<td class="faint">{escape(_remark(row))}</td></tr>'
        )
    if len(rows) > _MOST_ROWS:
        yield f"<tr><td colspan=4>and {len(rows) - _MOST_ROWS:,} more: the index has them all</td></tr>"
    yield "</table>"


def _remark(row: IndexRow) -> str:
    said = row.parameters
    traffic = f"{said['traffic']}% of the traffic" if "traffic" in said else ""
    default = "answers by default" if said.get("default") == "true" else ""
    return ", ".join(filter(None, (traffic or default, "gets copies" if "shadow" in said else "", row.reason or "")))


def _metrics(base: str, port: int) -> str:
    if not port:
        return "/metrics"
    host = base.rpartition(":")[0] if re.search(r":\d+$", base) else base
    return f'<a href="{escape(host)}:{port}/metrics">/metrics</a>'
