"""The frame of an HTML page that needs nothing beside it: style for screens, the dark and paper; sections and tables.

Place in the flow: asked by report. Cells and contents are HTML already: whoever fills them in escapes what is foreign.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_STYLE: Final = """
:root { --ink: #1c2430; --soft: #5b6675; --rule: #d5dae1; --page: #ffffff; --card: #f5f7fa; --main: #2563a8;
  --other: #b4540a; --bad: #b3261e; --good: #1c7a3d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #a3adba; --rule: #3c4653; --page: #14181e;
  --card: #1e242c; --main: #6ea8e8; --other: #e8a15c; --bad: #f28b82; --good: #7fce97; } }
@media print { :root { --ink: #000; --soft: #444; --rule: #bbb; --page: #fff; --card: #fff; --main: #2563a8;
  --other: #b4540a; --bad: #b3261e; --good: #1c7a3d; }
  section { break-inside: avoid; } .plots { grid-template-columns: 1fr 1fr; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 60rem; color: var(--ink); background: var(--page);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); } .lead { font-size: 1.15rem; margin: .75rem 0 1.25rem; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts th { width: 9rem; font-weight: 400; color: var(--soft); } code { font-size: .85em; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .75rem; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.8rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { color: var(--soft); }
.plots svg, .plot svg { width: 100%; height: auto; } .plot { max-width: 40rem; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
.confusion { width: auto; } .confusion td { text-align: right; font-variant-numeric: tabular-nums; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Give a whole page of its parts; empty ones are left out."""
    return "\n".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            *filter(None, parts),
            "</body>\n</html>\n",
        )
    )


def section(title: str, content: str) -> str:
    """Put a title above some content."""
    return f"<section><h2>{title}</h2>{content}</section>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """Make a table; of the columns `numbers`, counted from 0, the cells stand on the right."""
    right = {*numbers}
    kinds = [' class="n"' if at in right else "" for at in range(len(headings))]
    head = "".join(f"<th{kind}>{escape(text)}</th>" for kind, text in zip(kinds, headings, strict=True))
    lines = (
        "<tr>" + "".join(f"<td{kind}>{text}</td>" for kind, text in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'
