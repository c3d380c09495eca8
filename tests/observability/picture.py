"""The dashboard as pictures, one a row: panels drawn from the queries that Grafana would ask, since none is at hand."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.observability.prometheus import Prometheus
from tests.observability.queries import Query, dashboard_queries

_COLUMNS = 2
_LEGEND_LINES = 6
_SOURCE = "drawn from the dashboard's own queries"
_FAINT = "#57606a"
_FORMATS = {
    "reqps": "req/s",
    "rowsps": "rows/s",
    "ops": "1/s",
    "s": "s",
    "percentunit": "%",
    "bytes": "MB",
    "short": "",
}
_FACTORS = {"percentunit": 100.0, "bytes": 1e-6}


def draw(prometheus: Prometheus, *, start: float, end: float, caption: str, path: Path) -> list[Path]:
    """Ask every query over a time and write a picture of each row; give where they are. Raises QueryFailed.

    A panel that has nothing to show is left out, and so is a row of such panels.
    """
    rows: dict[str, list[_Panel]] = {}
    for (row, _), asked in groupby(dashboard_queries(), key=lambda query: (query.row, query.panel)):
        panel = _panel(list(asked), prometheus, start, end)
        if panel.cells or panel.courses:
            rows.setdefault(row, []).append(panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for row, panels in rows.items():
        written.append(path.with_stem(f"{path.stem}-{re.sub(r'[^a-z]+', '-', row.lower())}"))
        _draw_row(f"{row}: {_SOURCE}, {caption}", panels, end - start, written[-1])
    return written


@dataclass(frozen=True, slots=True)
class _Panel:
    """What one panel shows: courses over time, or `cells` of now. Each has the name that its legend gives."""

    title: str
    unit: str
    courses: Sequence[tuple[str, Sequence[tuple[float, float]]]]
    cells: Sequence[tuple[str, float]]


def _panel(queries: Sequence[Query], prometheus: Prometheus, start: float, end: float) -> _Panel:
    first = queries[0]
    if first.table:
        found = prometheus.query(first.expression)
        cells = sorted((named(first.legend, series["metric"]), float(series["value"][1])) for series in found)
        return _Panel(first.panel, first.unit, (), cells)
    factor = _FACTORS.get(first.unit, 1.0)
    courses = [
        (
            named(query.legend, series["metric"]),
            [(float(at) - start, float(value) * factor) for at, value in series["values"]],
        )
        for query in queries
        for series in prometheus.query_range(query.expression, start=start, end=end, step=1)
    ]
    return _Panel(first.panel, first.unit, courses, ())


def _draw_row(title: str, panels: Sequence[_Panel], seconds: float, path: Path) -> None:
    from matplotlib.figure import Figure  # slow to import, and only wanted here
    from PIL import Image

    lines = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    heights = [max(_height(panel) for panel in line) for line in lines]
    figure = Figure(figsize=(12, sum(heights) + 0.4), layout="constrained")
    grid = figure.add_gridspec(len(lines), len(lines[0]), height_ratios=heights)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_FAINT)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(grid[number // _COLUMNS, number % _COLUMNS])
        axes.set_title(panel.title, loc="left", fontsize=14)
        if panel.cells:
            _draw_cells(axes, panel.cells)
        else:
            _draw_courses(axes, panel, seconds)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    with Image.open(drawn) as picture:  # a few dozen colours are all there are: a third of the bytes
        picture.convert("RGB").quantize(64).save(path, optimize=True)


def _height(panel: _Panel) -> float:
    return 0.22 * len(panel.cells) + 0.7 if panel.cells else 3.4


def _draw_courses(axes: Any, panel: _Panel, seconds: float) -> None:
    for number, (name, points) in enumerate(panel.courses):
        label = name if number < _LEGEND_LINES else None
        axes.plot(*zip(*points, strict=True), linewidth=1.8, label=label)
    axes.set_xlim(0, seconds)
    axes.set_ylabel(_FORMATS[panel.unit], fontsize=12)
    axes.set_xlabel("seconds", fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(alpha=0.25)
    drawn = len(panel.courses)
    more = f"and {drawn - _LEGEND_LINES} more" if drawn > _LEGEND_LINES else None
    axes.legend(loc="upper left", fontsize=10, ncols=2, title=more, title_fontsize=10, framealpha=0.7)
    values = [value for _, points in panel.courses for _, value in points]
    above = 1.5 if drawn <= _COLUMNS * 2 else 1.9  # room for the legend, which is to hide no course
    axes.set_ylim(min(0.0, *values), above * max(values) if max(values) > 0 else 1.0)


def _draw_cells(axes: Any, cells: Sequence[tuple[str, float]]) -> None:
    axes.axis("off")
    text = "\n".join(f"{name:<34} {value:.3g}" for name, value in cells)
    axes.text(0, 1, text, transform=axes.transAxes, va="top", fontsize=11, family="monospace")


def named(legend: str, labels: Mapping[str, str]) -> str:
    """A legend with the labels of a series in place of their names in braces."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
