"""The dashboard as a picture: each panel drawn from the queries that Grafana would ask, since no Grafana is at hand."""

import io
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.observability.prometheus import Prometheus
from tests.observability.queries import Query, dashboard_queries

_COLUMNS = 3
_LEGEND_LINES = 6
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


def draw(prometheus: Prometheus, *, start: float, end: float, caption: str, path: Path) -> None:
    """Ask every query over a time and write the picture. Raises QueryFailed."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here
    from PIL import Image

    panels = [list(queries) for _, queries in groupby(dashboard_queries(), key=lambda query: (query.row, query.panel))]
    rows = [list(row) for _, row in groupby(panels, key=lambda queries: queries[0].row)]
    lines = [
        (row[0][0].row if at == 0 else "", row[at : at + _COLUMNS])
        for row in rows
        for at in range(0, len(row), _COLUMNS)
    ]
    figure = Figure(figsize=(16, 2.7 * len(lines)), layout="constrained")
    figure.suptitle(caption, fontsize="small", x=0.01, ha="left")
    grid = figure.add_gridspec(len(lines), _COLUMNS)
    for at, (heading, line) in enumerate(lines):
        for column, queries in enumerate(line):
            axes = figure.add_subplot(grid[at, column])
            axes.set_title(
                f"{heading}\n{queries[0].panel}" if heading and column == 0 else queries[0].panel,
                loc="left",
                fontsize=10,
            )
            if queries[0].table:
                _draw_table(axes, queries[0], prometheus.query(queries[0].expression))
            else:
                _draw_course(axes, queries, prometheus, start, end)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=80)
    with Image.open(drawn) as picture:  # a few dozen colours are all there are: a third of the bytes
        picture.convert("RGB").quantize(64).save(path, optimize=True)


def _draw_course(axes: Any, queries: Sequence[Query], prometheus: Prometheus, start: float, end: float) -> None:
    factor, drawn = _FACTORS.get(queries[0].unit, 1.0), 0
    for query in queries:
        for series in prometheus.query_range(query.expression, start=start, end=end, step=1):
            points = [(float(at) - start, float(value) * factor) for at, value in series["values"]]
            label = named(query.legend, series["metric"]) if drawn < _LEGEND_LINES else None
            axes.plot(*zip(*points, strict=True), linewidth=1.2, label=label)
            drawn += 1
    axes.set_xlim(0, end - start)
    axes.set_ylabel(_FORMATS[queries[0].unit], fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    if drawn:
        more = f"and {drawn - _LEGEND_LINES} more" if drawn > _LEGEND_LINES else None
        axes.legend(loc="upper left", fontsize=6, ncols=2, title=more, title_fontsize=6, framealpha=0.7)
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), high * 1.4 if high > 0 else 1)
    else:
        _note(axes, "no data")


def _draw_table(axes: Any, query: Query, result: Sequence[Mapping[str, Any]]) -> None:
    axes.axis("off")
    if not result:
        _note(axes, "no data")
        return
    cells = sorted((named(query.legend, series["metric"]), float(series["value"][1])) for series in result)
    text = "\n".join(f"{name:<32} {value:.3g}" for name, value in cells)
    axes.text(0, 1, text, transform=axes.transAxes, va="top", fontsize=7, family="monospace")


def _note(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9, color="#57606a")


def named(legend: str, labels: Mapping[str, str]) -> str:
    """A legend with the labels of a series in place of their names in braces."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
