"""The story: all is as in training; the world changes, and who notices. A chapter ends when everybody says the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from rich.console import Console
from rich.table import Table

from tests.demo.customers import CANARY, CANARY_PERCENT, MODEL, RISE, STABLE, rows_and_labels
from tests.demo.stage import HOUR_S, Stage, Verdict
from tests.demo.traffic import Traffic
from tools.patience import Limit
from tools.processes import ProcessFailed

ROWS: Final = 400
"""That drift looks at of each version before the first chapter ends: twice what it takes to say anything."""
_DAY_BEFORE: Final = (
    'min(sum by (model_version) (increase(model_manager_labelled_predictions_total{{outcome=~"right|wrong"}}[{0}s]'
    " offset {0}s))) > 200"
)
_ALERTS: Final = {"ModelDrifts", "ModelAnswersWorse"}
_COLUMN: Final = "monthly_charges"
_LIMIT_S: Final = 90.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told:
    """What one moment looks like, wherever one looks."""

    drifted: dict[str, list[str]]
    accuracy: dict[str, float]
    firing: dict[str, list[str]]
    verdict: Verdict

    @property
    def well(self) -> bool:
        """Whether nobody has anything to say."""
        return not any(self.drifted.values()) and not _ALERTS & set(self.firing) and self.verdict.code == 0

    @property
    def worse(self) -> bool:
        """Whether everybody says that the rows drifted and that the canary is worse, and the canary alone."""
        return (
            all(_COLUMN in columns for columns in self.drifted.values())
            and self.accuracy[CANARY] < self.accuracy[STABLE] - 0.05
            and set(self.firing) >= _ALERTS
            and len([one for one in self.firing["ModelDrifts"] if _COLUMN in one]) == len(self.drifted)
            and all(f"Version {CANARY} " in one for one in self.firing["ModelAnswersWorse"])
            and self.verdict.code == 1
        )


class Story:
    """Tells what happens to `console`, and to whoever waits through `waiting`, with what is waited for."""

    def __init__(self, stage: Stage, going: Traffic, console: Console, waiting: Callable[[str], None]) -> None:
        self._stage = stage
        self._going = going
        self._console = console
        self._waiting = waiting

    def tell(self) -> None:
        """All of it. Raises ProcessFailed where one of those who should notice does not."""
        self._begin()
        self._until(lambda: self._stage.looked_at() >= ROWS, "the first rows and labels")
        self._until(lambda: self._stage.prometheus.query(_DAY_BEFORE.format(HOUR_S)), "an hour of the alerts to pass")
        self._chapter("1. Customers are as in training.", self._come_to(lambda told: told.well, "all to be well"))
        self._going.prices_rose = True
        rise = f"2. Prices rise by {RISE} for everybody. Who leaves is decided as before."
        self._chapter(rise, self._come_to(lambda told: told.worse, "console, alerts and canary to notice"))
        self._end()

    def _begin(self) -> None:
        stage = self._stage
        self._say(
            f"{MODEL}, who leaves. Version {STABLE} looks at the contract; version {CANARY}, with {CANARY_PERCENT}% of "
            "the requests, at the price instead, which says as much: short contracts cost more.\n"
            "Labels, what became of a customer, come a second later."
        )
        places = Table(show_header=False)
        places.add_row("console", stage.console)
        places.add_row("alerts", stage.prometheus.page("/alerts", "/classic/alerts", "/api/v1/alerts"))
        places.add_row("canary", f"model-manager {' '.join(stage.canary_command)}")
        self._console.print(places, soft_wrap=True)
        self._say(f"The alerts are the chart's, in fast motion: an hour of theirs is {HOUR_S} seconds here.\n")

    def _chapter(self, heading: str, told: Told) -> None:
        self._console.print(heading, style="bold", highlight=False)
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 3))
        drifted = (f"version {version}: {', '.join(columns)}" for version, columns in told.drifted.items() if columns)
        table.add_row("console, drift", "; ".join(drifted) or "none")
        right = (f"version {version} right for {share:.1%}" for version, share in sorted(told.accuracy.items()))
        table.add_row("console, labels", "; ".join(right))
        alerts = [f"{name}: {one}" for name, summaries in sorted(told.firing.items()) for one in summaries]
        table.add_row("alerts", "\n".join(alerts) or "none")
        table.add_row("canary", told.verdict.words)
        self._console.print(table)
        self._say("")

    def _end(self) -> None:
        row = next(
            row
            for row, label in rows_and_labels(500, seed=4, rise=RISE)
            if row["contract"] != "month-to-month" and row["tenure_months"] < 12 and label == "no"
        )
        self._say(
            f"Why? Of a customer with a {row['contract']} contract version {CANARY} says: {self._stage.why(row)}.\n"
            f"It took the price for the contract. Console, alerts and canary say the same: go back to version {STABLE}."
        )

    def _come_to(self, holds: Callable[[Told], bool], what: str) -> Told:
        """The first moment at which this holds."""
        return self._until(lambda: told if holds(told := self._now()) else None, what)

    def _now(self) -> Told:
        stage = self._stage
        return Told(stage.drifted(), stage.accuracy(), stage.firing(), stage.verdict())

    def _until(self, condition: Callable[[], T | None], what: str) -> T:
        limit = Limit(_LIMIT_S)
        while not (found := condition()):
            self._stage.server.check()
            self._stage.prometheus.check()
            self._waiting(f"waiting for {what}; {self._going.sent} requests, {self._going.labelled} labels")
            if limit.passed():
                raise ProcessFailed(f"waited {limit.so_far:.0f} s for {what}, in vain: {self._now()}")
        return found

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)
