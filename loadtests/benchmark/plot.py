"""The figures as a picture: for every workload the rates of server and ceilings, and the latencies below."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.benchmark.measuring import Outcome, rows_ratio
from loadtests.benchmark.timing import BARE, NO_CONNECTION, SERVER, STARLETTE, Summary

_COLOURS = {BARE: "#9aa5b1", STARLETTE: "#c9b27c", SERVER: "#1f6feb"}
_WIDTH = 0.8
_A_LINE = 3  # panels beside each other: what is legible on a page
_TITLE_LETTERS = 38  # in a line over a panel: what has no room there is cut at the edge of the picture


def draw(outcomes: Mapping[str, Outcome], caption: str, path: Path) -> None:
    """Write the picture. Needs at least one measured workload."""
    path.parent.mkdir(parents=True, exist_ok=True)
    compose(outcomes, caption).savefig(path)


def compose(outcomes: Mapping[str, Outcome], caption: str) -> Any:
    """The picture as a figure of matplotlib: a column for each workload, its rates above its latencies."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    measured = [outcome for outcome in outcomes.values() if outcome.status == "measured"]
    lines_of_panels = -(-len(measured) // _A_LINE)
    figure = Figure(figsize=(4 * _A_LINE, 7 * lines_of_panels + 0.8), dpi=110, layout="constrained")
    axes = figure.subplots(2 * lines_of_panels, _A_LINE, squeeze=False)
    for place in range(len(measured), lines_of_panels * _A_LINE):
        for part in (0, 1):
            axes[2 * (place // _A_LINE) + part, place % _A_LINE].axis("off")
    for place, outcome in enumerate(measured):
        above, column = 2 * (place // _A_LINE), place % _A_LINE
        # What HTTP alone could do with a large batch is too far above to show anything: predict is its ceiling.
        shown = _COLOURS if outcome.plan.rows == 1 else {SERVER}
        lines = [line for line in outcome.points.summaries() if line.target in shown]
        _draw_rates(axes[above, column], outcome, lines)
        _draw_latencies(axes[above + 1, column], lines)
        if column == 0:
            axes[above, 0].set_ylabel("requests/s")
            axes[above + 1, 0].set_ylabel("latency in ms: p50, line up to p99")
    # one legend for all, outside of them: no bar is below it
    named = {label: bar for one in axes.flat for bar, label in zip(*one.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside lower left", ncols=len(named))
    figure.suptitle(caption, fontsize="small", x=0.01, ha="left")
    return figure


def _draw_rates(axes: Any, outcome: Outcome, lines: list[Summary]) -> None:
    for target, at, line in _placed(lines):
        first = line.connections == min(one.connections for one in lines)
        axes.bar(at, line.rate, _bar_width(lines), color=_COLOURS[target], label=target if first else None)
        ratio = line.of_bare if outcome.plan.rows == 1 else rows_ratio(outcome, line.connections)
        if target == SERVER and ratio is not None:
            axes.annotate(f"{ratio:.2f}", (at, line.rate), ha="center", va="bottom", fontsize="small")
    predict = [one for one in outcome.points.summaries() if one.connections == NO_CONNECTION]
    if outcome.plan.rows > 1 and predict:
        axes.axhline(predict[0].rate, color="#d1242f", linestyle="--", linewidth=1)
        axes.annotate("in-process predict", (-_WIDTH / 2, predict[0].rate), va="bottom", fontsize="small")
    title = textwrap.fill(f"{outcome.plan.id}: {outcome.plan.title}", _TITLE_LETTERS)
    axes.set_title(f"{title}\nform: {outcome.form}")
    axes.margins(y=0.18)
    _label_groups(axes, lines)


def _draw_latencies(axes: Any, lines: list[Summary]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    for target, at, line in _placed(lines):
        above = [[0.0], [max(0.0, line.p99_ms - line.p50_ms)]]
        axes.errorbar(at, line.p50_ms, yerr=above, fmt="o", capsize=4, color=_COLOURS[target])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    _label_groups(axes, lines)


def _placed(lines: list[Summary]) -> list[tuple[str, float, Summary]]:
    """Where each bar stands: a group for each number of connections, in it a bar for each target."""
    groups = sorted({line.connections for line in lines})
    targets = [target for target in _COLOURS if any(line.target == target for line in lines)]
    width = _bar_width(lines)
    left = -_WIDTH / 2 + width / 2
    return [
        (line.target, groups.index(line.connections) + left + width * targets.index(line.target), line)
        for line in lines
    ]


def _bar_width(lines: list[Summary]) -> float:
    return _WIDTH / len({line.target for line in lines})


def _label_groups(axes: Any, lines: list[Summary]) -> None:
    groups = sorted({line.connections for line in lines})
    axes.set_xlim(-0.5, len(groups) - 0.5)
    axes.set_xticks(range(len(groups)), [str(group) for group in groups])
    axes.set_xlabel("connections")
