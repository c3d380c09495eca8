"""What a run says: tables for people, one document for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtests.benchmark.bars import Reached, hold_against_bars
from loadtests.benchmark.growth import Grown
from loadtests.benchmark.measuring import Outcome, rows_ratio
from loadtests.benchmark.timing import NO_CONNECTION, SERVER, Summary
from tools.terminal_tables import print_table

Document = dict[str, Any]


def document_of(outcomes: Mapping[str, Outcome], circumstances: Mapping[str, Any]) -> Document:
    """Everything that was measured, raw and summed up."""
    return {
        **circumstances,
        "bars": [{**asdict(bar), "met": bar.met} for bar in hold_against_bars(outcomes)],
        "workloads": [_workload(outcome) for outcome in outcomes.values()],
    }


def print_report(console: Console, outcomes: Mapping[str, Outcome]) -> None:
    """Print a table of figures, then one of bars, then what failed."""
    print_table(console, _figures(list(outcomes.values())))
    for outcome in outcomes.values():
        if outcome.growth:
            print_table(console, _growth(outcome.growth))
    print_table(console, _bars(hold_against_bars(outcomes)))
    for outcome in outcomes.values():
        if outcome.status != "measured":
            console.print(f"{outcome.plan.id} {outcome.status}: {outcome.reason}", markup=False, highlight=False)


def _workload(outcome: Outcome) -> Document:
    plan = outcome.plan
    return {
        "id": plan.id,
        "title": plan.title,
        "model": plan.model,
        "forms": outcome.forms,
        "status": outcome.status,
        "reason": outcome.reason,
        "rows_per_request": plan.rows,
        "body_bytes": outcome.body_bytes,
        "answer_bytes": outcome.answer_bytes,
        "medians": [{**asdict(line), "rows_ratio": _rows_ratio(outcome, line)} for line in outcome.points.summaries()],
        "batching_ratios": list(outcome.batching),
        "telemetry_ratios": list(outcome.telemetry),
        "load_cpu_seconds": dict(outcome.load_cpu),
        "growth": {str(count): asdict(grown) for count, grown in outcome.growth.items()},
        "explaining": asdict(outcome.explaining) if outcome.explaining else {},
        "runs": [
            {"target": p.target, "connections": p.connections, "round": p.round, "rate": p.timing.rate}
            | asdict(p.timing)
            for p in outcome.points.all
        ],
    }


def _rows_ratio(outcome: Outcome, line: Summary) -> float | None:
    return rows_ratio(outcome, line.connections) if line.target == SERVER else None


def _figures(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="medians over the rounds", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("target", no_wrap=True)
    for heading in ("conns", "requests/s", "rows/s", "p50 ms", "p99 ms", "÷ bare", "÷ predict"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        for line in outcome.points.summaries():
            mark = "bold" if line.target == SERVER else ""
            table.add_row(
                outcome.plan.id,
                _named(outcome, line.target),
                str(line.connections) if line.connections != NO_CONNECTION else "–",
                f"{line.rate:,.0f}",
                f"{line.rate * outcome.plan.rows:,.0f}",
                f"{line.p50_ms:.3f}",
                f"{line.p99_ms:.3f}",
                _ratio(line.of_bare),
                _ratio(_rows_ratio(outcome, line)),
                style=mark,
            )
        table.add_section()
    return table


def _growth(growth: Mapping[int, Grown]) -> Table:
    table = Table(title="what grows with the number of models, and what does not", title_justify="left")
    for heading in ("models", "requests/s", "p99 ms", "memory MB", "start s", "swap to answer s", "scrape ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    for count, grown in growth.items():
        table.add_row(
            f"{count:,}",
            f"{grown.rate:,.0f}",
            f"{grown.p99_ms:.2f}",
            f"{grown.resident_mb:,.0f}",
            f"{grown.start_s:.1f}",
            f"{grown.swap_s:.2f}",
            f"{grown.scrape_ms:.0f}",
        )
    return table


def _named(outcome: Outcome, target: str) -> str:
    form = outcome.forms.get(target)
    return target if form is None else f"{target} ({form})"


def _bars(reached: Sequence[Reached]) -> Table:
    table = Table(title="bars, ratios within a round", title_justify="left")
    table.add_column("measure", no_wrap=True)
    for heading in ("value", "bar", "reach for", "met"):
        table.add_column(heading, justify="right")
    for bar in reached:
        sign = "≥" if bar.at_least else "≤"
        met = {True: "[green]yes", False: "[red]no", None: "not known"}[bar.met]
        wanted = f"{sign} {bar.reach:.2f}" if bar.reach is not None else "–"
        table.add_row(bar.measure, _ratio(bar.value), f"{sign} {bar.bar:.2f}", wanted, met)
    return table


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
