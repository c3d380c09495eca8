"""How much faster forms are, as it was last measured: the figures' file, and the table of docs/performance.md."""

from collections.abc import Mapping
from typing import Any, Final

from tools.processes import ROOT

RESULT: Final = ROOT / "loadtests" / "results" / "forms.json"
PAGE: Final = ROOT / "docs" / "performance.md"
SIZES: Final = (1, 8, 64, 512)
"""Rows of a batch."""

_BEGIN: Final = "<!-- forms: made by `python -m loadtests.benchmark.forms --record` -->"
_END: Final = "<!-- forms: end -->"


def table(result: Mapping[str, Any]) -> str:
    """The figures as a table in Markdown."""
    sizes = " | ".join(f"{size} {'row' if size == 1 else 'rows'}" for size in SIZES)
    lines = [f"| estimator | form | scikit-learn, 1 row | {sizes} |", "|---|---|---|" + "---|" * len(SIZES)]
    for one in result["estimators"]:
        speedups = " | ".join(speedup_text(one["speedup"][str(size)]) for size in SIZES)
        lines.append(f"| {one['estimator']} | `{one['form']}` | {one['sklearn_us']['1']:,.0f} µs | {speedups} |")
    return "\n".join(lines)


def speedup_text(speedup: float) -> str:
    """How many times faster, to two digits."""
    return f"{speedup:.1f}×" if speedup < 10 else f"{speedup:,.0f}×"


def page_with(text: str, page: str) -> str:
    """The page with this text between the markers. Raises ValueError for a page without them."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no {_BEGIN} followed by {_END}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
