"""Time one workload: warm, then in rounds every target after the other at each number of connections (A B A B)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loadtests.benchmark.answers import WrongAnswer, check_answers
from loadtests.benchmark.explaining import Explaining
from loadtests.benchmark.growth import COUNTS, Grown
from loadtests.benchmark.targets import Target
from loadtests.benchmark.timing import NO_CONNECTION, PREDICT, SERVER, Point, Points, Timing
from loadtests.benchmark.workloads import Plan, Workload
from loadtests.benchmark.wrk import GeneratorFailed
from tools.processes import ProcessFailed

WARM_S = 1


@dataclass(slots=True)
class Outcome:
    """What became of a workload. Only a measured one has points: figures of wrong answers are worth nothing."""

    plan: Plan
    status: Literal["measured", "failed", "not served yet"]
    reason: str = ""
    forms: Mapping[str, str] = field(default_factory=dict)  # how each target computes the model
    body_bytes: int = 0
    answer_bytes: int = 0
    points: Points = field(default_factory=Points)
    batching: Sequence[float] = ()  # idle latency with batching on ÷ off
    telemetry: Sequence[float] = ()  # rate with metrics and traces ÷ rate without, second by second
    load_cpu: Mapping[str, float] = field(default_factory=dict)  # CPU seconds until a wide model is ready, by its name
    growth: Mapping[int, Grown] = field(default_factory=dict)  # what a server is like, by its number of models
    explaining: Explaining | None = None  # what an explanation takes, and costs predictions

    @property
    def form(self) -> str:
        """How the server as shipped computes the model."""
        return self.forms.get(SERVER, "")


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how often. `connections` keeps of a plan's numbers what this run is about."""

    seconds: int
    rounds: int
    quick: bool

    def connections(self, plan: Plan) -> tuple[int, ...]:
        """The numbers of connections to time: all; in a quick run the most, and one where bars ask for it (W1)."""
        if not self.quick:
            return plan.connections
        most = max(plan.connections)
        return (1, most) if plan.id == "W1" else (most,)

    @property
    def batching_pairs(self) -> int:
        """How often batching on is compared with batching off."""
        return 3 if self.quick else 5 * self.rounds

    @property
    def telemetry_s(self) -> int:
        """How long metrics and traces are switched on and off to see what they cost."""
        return 10 if self.quick else 20 * self.rounds

    @property
    def explaining_rounds(self) -> int:
        """How often predictions are timed alone and beside explanations."""
        return 1 if self.quick else 2 * self.rounds

    @property
    def model_counts(self) -> tuple[int, ...]:
        """How many models are served to see what grows with them."""
        return COUNTS[:-1] if self.quick else COUNTS

    def runs(self, plan: Plan, targets: Sequence[Target]) -> Iterator[tuple[int, int, Target]]:
        """Every timed run of a workload as (round, connections, target), in order."""
        for number in range(1, self.rounds + 1):
            for connections in self.connections(plan):
                for target in targets:
                    if target.connected:
                        yield number, connections, target
            yield from ((number, NO_CONNECTION, one) for one in targets if not one.connected)


def measure(
    workload: Workload,
    targets: Sequence[Target],
    schedule: Schedule,
    address: str,
    *,
    progress: Callable[[str], None],
) -> tuple[Points, dict[str, str]]:
    """Run the whole schedule of one workload; answers are checked again at its end. Returns each target's form too.

    Raises WrongAnswer, ProcessFailed and GeneratorFailed: then nothing of it is to be reported.
    """
    plan = workload.plan
    forms = forms_now(plan, targets)
    for target in targets:
        if target.name == SERVER or not schedule.quick:
            progress(f"{plan.id} warming {target.name}")
            require_no_error(target.warm(workload, WARM_S), f"{target.name}, warming")
    points = []
    for number, connections, target in schedule.runs(plan, targets):
        where = f"{target.name} at {connections}" if connections else target.name
        progress(f"{plan.id} round {number}: {where}")
        timing = target.time(workload, connections, schedule.seconds)
        require_no_error(timing, where)
        points.append(Point(target.name, connections, number, timing))
    check_answers(workload, address)
    if (now := forms_now(plan, targets)) != forms:
        raise WrongAnswer(f"{plan.model} changed its form from {forms} to {now} while it was timed")
    return Points(points), forms


def forms_now(plan: Plan, targets: Sequence[Target]) -> dict[str, str]:
    """How every target that predicts computes a workload's model at this moment. Raises ProcessFailed."""
    forms = {target.name: target.form_of(plan.model) for target in targets}
    return {name: form for name, form in forms.items() if form}


def attempt(
    outcome: Outcome,
    workload: Workload,
    targets: Sequence[Target],
    schedule: Schedule,
    address: str,
    *,
    progress: Callable[[str], None],
) -> None:
    """Measure a workload and note in its outcome what came of it."""
    try:
        outcome.points, outcome.forms = measure(workload, targets, schedule, address, progress=progress)
    except (WrongAnswer, ProcessFailed, GeneratorFailed) as error:
        outcome.status, outcome.reason = "failed", str(error)
    else:
        outcome.status, outcome.reason = "measured", ""


def rows_ratio(outcome: Outcome, connections: int) -> float | None:
    """Rows a second over HTTP ÷ rows a second of the predictor itself, given the same rows at once.

    None for single rows: the server gathers those into batches, which one call for one row is no ceiling of. None as
    well if the two took different forms, as they may when two are as fast as each other.
    """
    if outcome.plan.rows == 1 or outcome.form != outcome.forms.get(PREDICT):
        return None
    # A request is a call, so rows cancel out.
    return outcome.points.rate_ratio(SERVER, PREDICT, connections, NO_CONNECTION)


def require_no_error(timing: Timing, where: str) -> None:
    """Raise WrongAnswer if any request of a run went wrong."""
    if timing.errors:
        said = ", ".join(f"{kind}: {count}" for kind, count in timing.errors.items())
        raise WrongAnswer(f"errors against {where}, in {timing.requests} requests: {said}")
