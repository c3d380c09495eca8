"""What curves hold → plots, as SVG that stands inside a page and takes its colours from it, in the light and the dark.

Place in the flow: drawn by the report alone. Needs matplotlib, the extra `report`.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

_INK, _RULE, _MAIN, _OTHER = "#010101", "#020202", "#030303", "#040404"
_VARIABLES: Final = {_INK: "var(--ink)", _RULE: "var(--rule)", _MAIN: "var(--main)", _OTHER: "var(--other)"}
"""Colours that stand for those of the page."""
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.5,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
}
_DROPPED: Final = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_OWN_ID: Final = re.compile(
    r' id="(?:figure|axes|patch|text|line2d|matplotlib\.axis|xtick|ytick|\w*Collection|legend)_\d+"'
)


def roc(curve: Mapping[str, Any]) -> str:
    """Draw how many of the label are found for how many false alarms."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=_OTHER, linewidth=1, linestyle="--", label="guessing")
        axes.plot(
            curve["false_positive_rate"], curve["true_positive_rate"], color=_MAIN, linewidth=2, label="this version"
        )
        axes.set(xlabel="false alarms, of those that are not", ylabel="found, of those that are")
        _unit(axes)

    return _svg("roc", draw)


def precision_recall(curve: Mapping[str, Any]) -> str:
    """Draw what share of the alarms is right for what share is found."""

    def draw(axes: Axes) -> None:
        axes.axhline(curve["share"], color=_OTHER, linewidth=1, linestyle="--", label="guessing")
        axes.step(curve["recall"], curve["precision"], color=_MAIN, linewidth=2, where="post", label="this version")
        axes.set(xlabel="found, of those that are (recall)", ylabel="right, of those answered so (precision)")
        _unit(axes)

    return _svg("precision-recall", draw)


def calibration(curve: Mapping[str, Any]) -> str:
    """Draw how often what is answered with a probability came true; a dot is as large as its rows are many."""
    bins: Sequence[Mapping[str, float]] = curve["bins"]

    def draw(axes: Axes) -> None:
        total = sum(one["rows"] for one in bins)
        axes.plot([0, 1], [0, 1], color=_OTHER, linewidth=1, linestyle="--", label="perfect")
        said, seen = [one["said"] for one in bins], [one["seen"] for one in bins]
        axes.plot(said, seen, color=_MAIN, linewidth=1)
        axes.scatter(said, seen, [20 + 300 * one["rows"] / total for one in bins], color=_MAIN, label="this version")
        axes.set(xlabel="probability that is answered", ylabel="share that came true")
        _unit(axes)

    return _svg("calibration", draw)


def answered_beside_true(points: Mapping[str, Sequence[float]]) -> str:
    """Draw answers over truths."""

    def draw(axes: Axes) -> None:
        true, answered = points["true"], points["answered"]
        ends = [min(*true, *answered), max(*true, *answered)]
        axes.plot(ends, ends, color=_OTHER, linewidth=1, linestyle="--", label="perfect")
        axes.scatter(true, answered, 14, color=_MAIN, alpha=0.5, linewidths=0, label="a row")
        axes.set(xlabel="truth", ylabel="answer")
        axes.legend(loc="upper left")

    return _svg("answers", draw)


def residuals(histogram: Mapping[str, Sequence[float]]) -> str:
    """Draw how far answers are off."""

    def draw(axes: Axes) -> None:
        axes.stairs(histogram["counts"], histogram["edges"], fill=True, color=_MAIN)
        axes.axvline(0, color=_OTHER, linewidth=1, linestyle="--")
        axes.set(xlabel="answer less truth", ylabel="rows")

    return _svg("residuals", draw)


def segments(names: Sequence[str], values: Sequence[tuple[float, float, float]], whole: float, metric: str) -> str:
    """Draw the figure of every segment with its interval (low, value, high), beside that of all rows."""

    def draw(axes: Axes) -> None:
        places = list(range(len(names)))[::-1]
        axes.axvline(whole, color=_OTHER, linewidth=1, linestyle="--", label="all rows")
        for place, (low, value, high) in zip(places, values, strict=True):
            axes.plot([low, high], [place, place], color=_MAIN, linewidth=1.5)
            axes.plot([value], [place], color=_MAIN, marker="o", markersize=6)
        axes.set_yticks(places, [_literal(name if len(name) <= 28 else name[:27] + "…") for name in names])
        axes.set(xlabel=_literal(metric), ylim=(-0.7, len(names) - 0.3))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1))

    return _svg("segments", draw, height=1.1 + 0.32 * len(names), width=6.4)


def dependence(told: Mapping[str, Any], unit: str) -> str:
    """Draw mean answers over the values that a column is given: lines of numbers, dots of what has no order."""

    def draw(axes: Axes) -> None:
        values = told["values"]
        ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        places = values if ordered else list(range(len(values)))
        for at, answers in enumerate(told["answers"]):
            label = _literal(told["of"][at]) if at < len(told["of"]) else None
            style = {"linewidth": 2.0} if ordered else {"marker": "o", "linestyle": ""}
            axes.plot(places, answers, color=_MAIN, alpha=1 - 0.3 * at, label=label, **style)
        if not ordered:
            axes.set_xticks(places, [_literal(str(value)[:16]) for value in values], rotation=30, ha="right")
        axes.set(xlabel=_literal(told["column"]), ylabel=f"mean {unit}")
        if told["of"]:
            axes.legend()

    return _svg("dependence", draw)


def _literal(text: str) -> str:
    """Keep matplotlib from reading mathematics between dollars."""
    return text.replace("$", r"\$")


def _unit(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(loc="lower right")


def _svg(name: str, draw: Callable[[Axes], None], *, width: float = 4.6, height: float = 4.2) -> str:
    """Draw into SVG for a page: without a prologue, without sizes in points, coloured by the page's variables."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = _OWN_ID.sub("", _DROPPED.sub("", file.getvalue())).strip()
    text = re.sub(r'(<svg [^>]*?)width="[^"]*pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg [^>]*?)height="[^"]*pt"', r"\1", text, count=1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
