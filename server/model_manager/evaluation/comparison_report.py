"""A comparison as tables for people or a JSON document for scripts; no arithmetic beyond shares and units."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table as Grid

from model_manager.evaluation.comparison import SIGNIFICANCE, Comparison, Figure, Limits, Verdict
from model_manager.evaluation.comparison_pairs import Answered, Bin, calibration, counts, disagreements
from model_manager.evaluation.comparison_sides import Asked, Side
from model_manager.evaluation.paired import LEVEL
from model_manager.signature import Array
from model_manager.tables.table_files import Table

EXIT_CODES: Final[dict[Verdict, int]] = {"no worse": 0, "worse": 1, "cannot tell": 3}

_COLOURS: Final = {"ok": "green", "no worse": "green", "worse": "red", "differs": "yellow", "unknown": "yellow"}
_INPUTS_SHOWN: Final = 4
_LONGEST_CELL: Final = 24
_LONG_NUMBER: Final = re.compile(r"-?\d+\.\d{4,}", re.ASCII)


def advice(comparison: Comparison, asked: Asked) -> str:
    """What to do next."""
    match comparison.verdict:
        case "no worse":
            return "Go on: B may take the place of A."
        case "worse":
            return "Keep A."
    if asked.pairs.truth is None:
        return "Nothing tells which of them is right: name the column that holds the truth with --target."
    open_checks = {check.name.split()[0] for check in comparison.checks if check.outcome == "unknown"}
    if open_checks == {"latency"}:
        return "Ask again on a quiet machine, and both sides in the same way."
    return "Ask again with more rows."


def text(comparison: Comparison, asked: Asked, table: Table, most_rows: int) -> str:
    """Both sides next to each other, where they disagree, then the checks, the verdict and what to do next."""
    console = Console(highlight=False)
    with console.capture() as printed:
        console.print(Group(*_parts(comparison, asked, table, most_rows)))
    return "\n".join(line.rstrip() for line in printed.get().rstrip("\n").splitlines())


def document(comparison: Comparison, asked: Asked, table: Table, limits: Limits, most_rows: int) -> dict[str, Any]:
    """All figures, checks and verdicts as plain values for JSON, None where there is no number."""
    pairs = asked.pairs
    shown = disagreements(pairs)[:most_rows]
    return {
        "verdict": comparison.verdict,
        "exit_code": EXIT_CODES[comparison.verdict],
        "advice": advice(comparison, asked),
        "task": pairs.task,
        "data": {"source": table.source, "sha256": table.sha256, "rows": table.rows, "compared": len(pairs)},
        "target": asked.target,
        "limits": {
            "max_drop": limits.max_drop,
            "max_slowdown": limits.max_slowdown,
            "min_rows": limits.min_rows,
            "significance": SIGNIFICANCE,
        },
        "checks": [
            {
                "name": check.name,
                "outcome": check.outcome,
                "why": check.why,
                "value": _finite(check.value),
                "limit": check.limit,
                "p_value": check.p_value,
            }
            for check in comparison.checks
        ],
        "a": _side_document(asked.sides[0], asked, pairs.a),
        "b": _side_document(asked.sides[1], asked, pairs.b),
        "metrics": {figure.name: _figure_document(figure) for figure in comparison.figures},
        "agreement": counts(pairs),
        "disagreements": [_disagreement(asked, table, int(at)) for at in shown],
        "notes": list(pairs.notes),
    }


def inputs_of(table: Table, target: str | None) -> list[str]:
    """The columns of a table beside the truth."""
    return [name for name in table.columns if name != target]


def _parts(comparison: Comparison, asked: Asked, table: Table, most_rows: int) -> Iterable[RenderableType]:
    for side in asked.sides:
        written = f", {side.written}" if not side.written.endswith(side.name) or side.served else ""
        yield f"[bold]{side.letter}[/]: {escape(side.name)}{escape(written)}"
    truth = f"the truth in {asked.target!r}" if asked.target is not None else "no truth known"
    yield escape(f"{len(asked.pairs):,} rows of {table.source}, {truth}")
    yield from (f"[yellow]Note:[/] {escape(note)}" for note in asked.pairs.notes)
    if comparison.figures:
        yield _metrics(comparison.figures)
    yield _costs(asked)
    if (a := calibration(asked.pairs, asked.pairs.a)) and (b := calibration(asked.pairs, asked.pairs.b)):
        classes = asked.pairs.classes
        yield _calibrations(a, b, f"of {_cell(classes[1])}" if len(classes) == 2 else "of the answer")
    yield escape(_told_of_agreement(asked))
    if most_rows and bool(asked.pairs.different.any()):
        yield _rows(asked, table, most_rows)
    checks = _grid("check", "outcome", "why")
    for check in comparison.checks:
        checks.add_row(check.name, _coloured(check.outcome), escape(check.why))
    yield checks
    yield f"Verdict: {_coloured(comparison.verdict)}. {escape(advice(comparison, asked))}"


def _grid(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Grid:
    grid = Grid(title=title, title_justify="left")
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return grid


def _metrics(figures: Sequence[Figure]) -> Grid:
    interval = f"{LEVEL:.0%} interval"
    columns = ("A", "B", "B − A", interval, "chance")
    grid = _grid("metric", *columns, right=columns)
    grid.columns[0].no_wrap = True
    for figure in figures:
        grid.add_row(
            figure.name,
            number(figure.a),
            number(figure.b),
            _signed(figure.difference),
            "–" if figure.interval is None else "…".join(map(_signed, figure.interval)),
            "< 1e-6" if figure.p_value < 1e-6 else f"{figure.p_value:.2g}",
        )
    return grid


def _costs(asked: Asked) -> Grid:
    """Size and latency side by side."""
    grid = _grid("size and time", "A", "B", "B / A", right=("A", "B", "B / A"))
    sizes = [side.bytes for side in asked.sides]
    if sizes[0] is not None or sizes[1] is not None:
        grid.add_row("artifact", *map(_size, sizes), _quotient(*sizes))
    latency = asked.latency
    for what, timing in (("1 row", latency.one), (f"{latency.rows:,} rows", latency.all)):
        if what == "1 rows":
            continue
        for name, share in (("median", 0.5), ("p95", 0.95)):
            a, b = (float(np.quantile(one, share)) for one in (timing.a, timing.b))
            grid.add_row(f"{what}, {name}", _duration(a), _duration(b), _quotient(a, b))
    return grid


def _calibrations(a: Sequence[Bin], b: Sequence[Bin], of_what: str) -> Grid:
    """What came true of the probabilities of each side, by bin."""
    columns = ("A given", "came true", "rows", "B given", " came true", " rows")
    grid = _grid("bin", *columns, right=("bin", *columns), title=f"calibration: probability {escape(of_what)}")
    by_bin = [{one.low: one for one in side} for side in (a, b)]
    for low in sorted({*by_bin[0], *by_bin[1]}):
        found = [side.get(low) for side in by_bin]
        high = next(one.high for one in found if one is not None)
        cells: list[str] = []
        for one in found:
            cells += ["–", "–", "0"] if one is None else [f"{one.given:.2f}", f"{one.came_true:.2f}", f"{one.rows:,}"]
        grid.add_row(f"{low:.1f}–{high:.1f}", *cells)
    return grid


def _told_of_agreement(asked: Asked) -> str:
    told, pairs = counts(asked.pairs), asked.pairs
    same = f"They answer the same to {told['agree']:,} of {len(pairs):,} rows"
    if not told["differ"] or pairs.truth is None:
        return f"{same}."
    if pairs.task == "regression":
        return f"{same}; of the others, A is nearer the truth in {told['a_nearer']:,}, B in {told['b_nearer']:,}."
    neither = told["differ"] - told["only_a_right"] - told["only_b_right"]
    right = f"A alone is right in {told['only_a_right']:,}, B alone in {told['only_b_right']:,}, neither in {neither:,}"
    return f"{same}; of the others, {right}."


def _rows(asked: Asked, table: Table, most_rows: int) -> Grid:
    """The rows that are answered differently, those first that speak most for one of them."""
    found = disagreements(asked.pairs)
    title = f"where they disagree: {min(most_rows, len(found)):,} of {len(found):,} rows"
    if len(found) > most_rows:
        title += "; --disagreements shows more, --rows writes all of them"
    where = "row" if table.lines is None else "line"
    truth = ["truth"] if asked.pairs.truth is not None else []
    grid = _grid(where, "A", "B", *truth, "inputs", right=(where,), title=title)
    names = inputs_of(table, asked.target)
    cells = {name: table.cells(name) for name in names[:_INPUTS_SHOWN]}
    for at in found[:most_rows].tolist():
        position = int(asked.pairs.positions[at])
        answers = [asked.pairs.a.answers[at], asked.pairs.b.answers[at]]
        answers += [asked.pairs.truth[at]] if asked.pairs.truth is not None else []
        inputs = ", ".join(f"{name}={_cell(values[position])}" for name, values in cells.items())
        more = f", and {len(names) - _INPUTS_SHOWN} more" if len(names) > _INPUTS_SHOWN else ""
        line = str(position if table.lines is None else table.lines[position])
        grid.add_row(line, *(escape(_cell(one)) for one in answers), escape(inputs + more))
    return grid


def _disagreement(asked: Asked, table: Table, at: int) -> dict[str, Any]:
    pairs, position = asked.pairs, int(asked.pairs.positions[at])
    return {
        "row": position,
        "line": None if table.lines is None else table.lines[position],
        "a": plain(pairs.a.answers, at),
        "b": plain(pairs.b.answers, at),
        "truth": None if pairs.truth is None else plain(pairs.truth, at),
        "inputs": {name: table.cells(name)[position] for name in inputs_of(table, asked.target)},
    }


def plain(array: Array, at: int) -> object:
    """One entry as a value of Python."""
    value = array[at]
    return value.item() if isinstance(value, np.generic) else value


def _side_document(side: Side, asked: Asked, answered: Answered) -> dict[str, Any]:
    one, every = (timing.a if side.letter == "A" else timing.b for timing in (asked.latency.one, asked.latency.all))
    return {
        "name": side.name,
        "written": side.written,
        "classes": list(side.classes),
        "artifact_bytes": side.bytes,
        "latency_s": {
            "one_row": {"median": _quantile(one, 0.5), "p95": _quantile(one, 0.95), "rounds": len(one)},
            "all_rows": {"median": _quantile(every, 0.5), "p95": _quantile(every, 0.95), "rounds": len(every)},
        },
        "calibration": [
            {"low": one.low, "high": one.high, "rows": one.rows, "given": one.given, "came_true": one.came_true}
            for one in calibration(asked.pairs, answered)
        ],
    }


def _figure_document(figure: Figure) -> dict[str, Any]:
    low, high = figure.interval or (None, None)
    return {
        "a": figure.a,
        "b": figure.b,
        "difference": figure.difference,
        "low": low,
        "high": high,
        "p_value": figure.p_value,
        "higher_is_better": figure.higher_is_better,
    }


def _quantile(durations: Array, share: float) -> float:
    return float(np.quantile(durations, share))


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None


def _coloured(word: str) -> str:
    colour = _COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else word


def _cell(value: object) -> str:
    """A value of the table in few characters, without what would move the cursor."""
    if isinstance(value, float | np.floating):
        return number(float(value))
    shown = str(value) if value is not None and value != "" else "–"
    if _LONG_NUMBER.fullmatch(shown):
        return number(float(shown))
    shown = shown if shown.isprintable() else repr(shown)
    return shown if len(shown) <= _LONGEST_CELL else f"{shown[: _LONGEST_CELL - 1]}…"


def number(value: float) -> str:
    """A number in four digits."""
    return f"{value:.4g}" if not value.is_integer() or abs(value) >= 1e6 else f"{value:.0f}"


def _signed(value: float) -> str:
    return "0" if abs(value) < 5e-7 else f"{value:+.2g}" if abs(value) < 10 else f"{value:+.0f}"


def _size(count: int | None) -> str:
    if count is None:
        return "–"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 1024:.1f} KiB"


def _quotient(a: float | None, b: float | None) -> str:
    return f"{b / a:.2f}" if a and b is not None else "–"


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.0f} µs"
