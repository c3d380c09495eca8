"""A comparison as a table for people or a JSON document for scripts; no arithmetic beyond shares and units."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from model_manager.rollout.comparison import Comparison, Side, Verdict
from model_manager.rollout.evidence import Question
from model_manager.rollout.live import Live

EXIT_CODES: dict[Verdict, int] = {"no worse": 0, "worse": 1, "not enough data": 3}

_LABELS_SHOWN = 10
_COLOURS = {"ok": "green", "no worse": "green", "worse": "red", "differs": "yellow"}
_QUARTILES = (0.25, 0.5, 0.75)


def advice(comparison: Comparison, question: Question) -> str:
    """What to do next."""
    stable, canary = comparison.stable, comparison.canary
    by_track = question.label == "track"
    match comparison.verdict:
        case "no worse":
            step = f"raise the weight of {canary.name}" if by_track else f"{canary.name} may be the default"
            differing = {check.name for check in comparison.checks if check.outcome == "differs"}
            conditions = ["its predictions may differ this much"] if "predictions" in differing else []
            conditions += ["what drifts is no harm to it"] if "drift" in differing else []
            return f"Go on: {step}{''.join(f', if {one}' for one in conditions)}."
        case "worse":
            to = f"set the weight of {canary.name} to 0" if by_track else f"make {stable.name} the default"
            return f"Roll back: {to}."
    if not stable.requests and not canary.requests:
        return (
            f"Nothing answered for model {question.model}: check the name, the Prometheus, "
            f"and that its series carry the label {question.label}."
        )
    idle = [side.name for side in (stable, canary) if not side.requests]
    if idle:
        return f"{idle[0]} answered nothing: is traffic sent to it, is it ready, and does Prometheus scrape it?"
    return "Ask again when there were more requests."


def text(comparison: Comparison, question: Question) -> str:
    """Both sides next to each other, then the checks, then the verdict and what to do next."""
    stable, canary = comparison.stable, comparison.canary
    figures = Table(title=f"{escape(question.model)}, {_period(question)}", title_justify="left")
    figures.add_column("", no_wrap=True)
    for side in (stable, canary):
        figures.add_column(escape(side.name), justify="right")
    for what, *values in _figures(stable, canary, question.window_s):
        figures.add_row(escape(what), *map(escape, values))
    checks = Table()
    for heading in ("check", "outcome", "why"):
        checks.add_column(heading)
    for check in comparison.checks:
        checks.add_row(check.name, _coloured(check.outcome), escape(check.why))
    console = Console(highlight=False)
    verdict = f"Verdict: {_coloured(comparison.verdict)}. {escape(advice(comparison, question))}"
    with console.capture() as printed:
        console.print(Group(figures, checks, verdict))
    return printed.get().rstrip("\n")


def document(comparison: Comparison, question: Question) -> bytes:
    """All figures and verdicts as one JSON document, NaN and infinity as null."""
    content = {
        "model": question.model,
        "label": question.label,
        "window_s": question.window_s,
        "at": question.at,
        "verdict": comparison.verdict,
        "exit_code": EXIT_CODES[comparison.verdict],
        "advice": advice(comparison, question),
        "checks": comparison.checks,
        "stable": _side_document(comparison.stable, question.window_s),
        "canary": _side_document(comparison.canary, question.window_s),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2)


def _side_document(side: Side, window_s: int) -> dict[str, Any]:
    return {
        "name": side.name,
        "versions": side.versions,
        "unready": side.unready,
        "requests": sum(side.requests.values()),
        "requests_by_code": side.requests,
        "requests_per_s": sum(side.requests.values()) / window_s,
        "client_faults": side.answered("4"),
        "errors": side.answered("5"),
        "error_share": side.error_share,
        "dropped": side.dropped,
        "p50_s": side.seconds.quantile(0.5),
        "p99_s": side.seconds.quantile(0.99),
        "rows": side.rows,
        "predictions": side.labels,
        "live": _live_document(side.live),
        "prediction_quartiles": [side.values.quantile(q) for q in _QUARTILES] if side.values.total else None,
    }


def _live_document(live: Live) -> dict[str, Any]:
    return {
        "mature_predictions": live.mature,
        "labelled_predictions": live.labelled,
        "coverage": live.coverage,
        "accuracy": live.accuracy,
        "mean_absolute_error": live.mean_error,
        "drifted": live.drifted,
    }


def _figures(stable: Side, canary: Side, window_s: int) -> Iterable[tuple[str, str, str]]:
    """The rows of the table: what, of stable, of canary."""
    sides = (stable, canary)

    def row(what: str, *values: str) -> tuple[str, str, str]:
        one, other = values
        return what, one, other

    yield row("versions answering", *(", ".join(side.versions) or "none" for side in sides))
    if stable.unready or canary.unready:
        yield row("not ready", *(", ".join(f"{v} {state}" for v, state in side.unready.items()) for side in sides))
    yield row("requests", *(f"{sum(side.requests.values()):,}" for side in sides))
    yield row("requests a second", *(_rate(sum(side.requests.values()) / window_s) for side in sides))
    yield row("client faults (4xx)", *(f"{side.answered('4'):,}" for side in sides))
    yield row("errors (5xx)", *(f"{side.answered('5'):,}{_share(side.error_share)}" for side in sides))
    for reason in sorted({*stable.dropped, *canary.dropped}):
        yield row(f"dropped, {reason.replace('_', ' ')}", *(f"{side.dropped.get(reason, 0):,}" for side in sides))
    yield row("p50", *(_duration(side.seconds.quantile(0.5)) for side in sides))
    yield row("p99", *(_duration(side.seconds.quantile(0.99)) for side in sides))
    yield row("rows", *(f"{side.rows:,}" for side in sides))
    yield from _label_figures(stable, canary)
    yield from _live_figures(stable.live, canary.live)
    if stable.values.total or canary.values.total:
        for q in _QUARTILES:
            yield row(f"predicted, {q:.0%} are below", *(_number(side.values.quantile(q)) for side in sides))


def _live_figures(*sides: Live) -> Iterable[tuple[str, str, str]]:
    """What labels say of both, where any came."""

    def row(what: str, *values: str) -> tuple[str, str, str]:
        one, other = values
        return what, one, other

    if not any(live.labelled for live in sides):
        return
    yield row("answers whose time for a label is over", *(f"{live.mature:,}" for live in sides))
    yield row("with a label", *(f"{live.labelled:,}{_percent(live.coverage)}" for live in sides))
    if any(live.right or live.wrong for live in sides):
        yield row("right", *("–" if math.isnan(live.accuracy) else f"{live.accuracy:.2%}" for live in sides))
    if any(live.off.total for live in sides):
        yield row("mean absolute error", *(_number(live.mean_error) for live in sides))


def _label_figures(stable: Side, canary: Side) -> Iterable[tuple[str, str, str]]:
    """The shares of the labels, most frequent first, the rare ones together."""
    shares = [
        {label: count / sum(side.labels.values()) for label, count in side.labels.items()} for side in (stable, canary)
    ]
    labels = sorted({*shares[0], *shares[1]}, key=lambda label: (-sum(each.get(label, 0) for each in shares), label))
    lines = [(f"predicted {label}", [label]) for label in labels[:_LABELS_SHOWN]]
    if rare := labels[_LABELS_SHOWN:]:
        lines.append((f"predicted, {len(rare)} more labels", rare))
    for what, together in lines:
        one, other = (f"{sum(each.get(label, 0) for label in together):.1%}" if each else "–" for each in shares)
        yield what, one, other


def _period(question: Question) -> str:
    until = datetime.fromtimestamp(question.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    minutes, seconds = divmod(question.window_s, 60)
    return f"the {minutes} min until {until}" if not seconds else f"the {question.window_s} s until {until}"


def _coloured(word: str) -> str:
    colour = _COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else word


def _rate(per_second: float) -> str:
    return f"{per_second:,.1f}" if per_second >= 1 or not per_second else f"{per_second:.3f}"


def _share(share: float) -> str:
    return "" if math.isnan(share) else f" ({share:.2%})"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f" ({share:.0%})"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return _number(seconds)
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.0f} µs"


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.4g}" if math.isfinite(value) else "beyond the buckets"
