"""One batch through the model: stack, predict, check, slice. Runs on the loop or on a thread; touches neither.

In the flow: batcher → **batch** → predictor.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

from model_manager.errors import PredictionFailed
from model_manager.metrics import DropReason
from model_manager.serving.giving_up import ProcessLost, was_given_up
from model_manager.signature import Array, Rows

if TYPE_CHECKING:
    from model_manager.traces import RequestTrace

Results: TypeAlias = Mapping[str, Array]
Predict: TypeAlias = Callable[[Rows, tuple[str, ...]], Results]


class Observed:
    """What one request wants to know of its batch: filled in, in perf_counter seconds, before it is answered."""

    __slots__ = ("batch_ended", "batch_started", "trace")

    def __init__(self, trace: "RequestTrace | None" = None) -> None:
        self.trace = trace
        self.batch_started = 0.0
        self.batch_ended = 0.0


class Item(msgspec.Struct, eq=False):  # made for every request
    """One waiting request: it carries its own future, so nothing has to be looked up to answer it.

    `size` counts its rows; `deadline` is in loop time, `queued_at` in perf_counter seconds. `copied`: nobody waits for
    its answer, and it counts for nothing.
    """

    rows: Rows
    size: int
    outputs: tuple[str, ...]
    deadline: float
    future: asyncio.Future[Results]
    order: int
    observed: Observed | None
    queued_at: float
    copied: bool = False


@dataclass(slots=True)
class Ran:
    """What came of a batch: an answer or a failure for each item, the time it took, and what each call got and gave.

    `lost`: why it cost its version's process, if it did.
    """

    answers: list[Results | PredictionFailed]
    seconds: float = 0.0
    calls: list[tuple[int, Results]] = field(default_factory=list)
    lost: ProcessLost | None = None


class Finished(NamedTuple):
    """A batch that ended, for people: when (Unix time), its rows and requests, how long, and where it was computed."""

    ended: float
    rows: int
    requests: int
    batch_ms: float
    predict_ms: float
    on: Literal["loop", "thread"]
    failed: int


def run(predict: Predict, items: Sequence[Item]) -> Ran:
    """Predict items together; when that fails, each alone, once, so that only the guilty one gets the error.

    What was given up is not tried again: it would hang as long, once for each.

    A wrong number of rows is a failure, never shifted answers. Raises nothing: a model is foreign code, and one that
    exits, or says that it was cancelled or interrupted, has failed like one that raises an error. (An interrupt of a
    person, and a cancellation of ours, come as a signal and a callback of the event loop, never out of `predict`.)
    """
    started = perf_counter()
    ran = Ran([])
    try:
        ran.answers = _together(predict, items, ran)
    except BaseException as error:
        if was_given_up(error) or _lost(error, ran):
            ran.answers = [given_up() for _ in items]
        else:
            ran.answers = [_failure(error)] if len(items) == 1 else [_alone(predict, item, ran) for item in items]
    ran.seconds = perf_counter() - started
    return ran


def _together(predict: Predict, items: Sequence[Item], ran: Ran) -> list[Results | PredictionFailed]:
    rows = Rows.concatenate([item.rows for item in items])
    count = len(rows)
    results = predict(rows, items[0].outputs)
    named = list(results.items())
    for name, values in named:
        if len(values) != count:
            raise PredictionFailed(f"the model returned {len(values)} rows of {name} for {count} rows of input")
    ran.calls.append((count, results))
    if len(items) == 1:
        return [results]
    parts: list[Results | PredictionFailed] = []
    start = 0
    for item in items:
        stop = start + item.size
        part: dict[str, Array] = {}
        for name, values in named:  # a comprehension is a call, and this runs for every request
            part[name] = values[start:stop]
        parts.append(part)
        start = stop
    return parts


def _alone(predict: Predict, item: Item, ran: Ran) -> Results | PredictionFailed:
    if item.future.done():
        return PredictionFailed("nobody waits for this any more")
    try:
        return _together(predict, [item], ran)[0]
    except BaseException as error:
        return given_up() if was_given_up(error) or _lost(error, ran) else _failure(error)


def _lost(error: BaseException, ran: Ran) -> bool:
    """Note an error that says that the process was lost, and tell whether that hung, and would do so again."""
    if not isinstance(error, ProcessLost):
        return False
    ran.lost = error
    return error.hung


def given_up() -> PredictionFailed:
    """What is told to a request whose prediction held the event loop, or its process, until it was ended."""
    return PredictionFailed("the model took far too long over this input and was ended")


def _failure(error: BaseException) -> PredictionFailed:
    """Wrap what the estimator raised; the cause stays attached for the log and out of the answer."""
    if isinstance(error, PredictionFailed):
        return error
    failure = PredictionFailed("the model failed on this input")
    failure.__cause__ = error
    return failure


def answer(items: Sequence[Item], ran: Ran, dropped: Callable[[DropReason], None]) -> int:
    """Answer every item that still waits, each from its own outcome; how many failed. `dropped` counts who left."""
    failed = 0
    for item, outcome in zip(items, ran.answers, strict=True):
        future = item.future
        if future.done():
            if future.cancelled():
                dropped("cancelled_in_batch")
        elif isinstance(outcome, PredictionFailed):
            failed += 1
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    return failed


def unanswered(items: Iterable[Item]) -> Iterator[Item]:
    """Those that still wait."""
    return (item for item in items if not item.future.done())


def answered(items: Sequence[Item], ran: Ran) -> Iterator[tuple[Rows, Results]]:
    """The rows of those that the model answered, with the answers."""
    for item, outcome in zip(items, ran.answers, strict=True):
        if not isinstance(outcome, PredictionFailed):
            yield item.rows, outcome


def told_when(items: Sequence[Item], started: float, ended: float) -> list[Observed]:
    """Tell those who want to know when their batch left and ended, and name them."""
    observed = [item.observed for item in items if item.observed is not None]
    for one in observed:
        one.batch_started, one.batch_ended = started, ended
    return observed
