"""What the batcher counts as waiting is what waits: rows that were cancelled or have expired give their place away."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.call import HIGH, LOW, NORMAL
from model_manager.errors import DeadlineExceeded, Overloaded, VersionNotReady
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batch import Item, Results
from model_manager.serving.waiting import Waiting

from tests.unit.batcher.staging import FOREVER, OUTPUT, Clock, Model, answered, batcher, dropped, rows, values

LIMIT = 8


@pytest.fixture
async def busy(executor: ThreadPoolExecutor, metrics: Metrics, clock: Clock) -> Any:
    """A batcher whose model is held, with a full queue: what runs, and what waits."""
    model = Model()
    b = batcher(model, executor, metrics, batching=Batching(max_rows=4, max_queue_rows=LIMIT))
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    waiting = [b.submit(rows(1, 2, 3, 4), OUTPUT, FOREVER), b.submit(rows(5, 6, 7, 8), OUTPUT, clock.soon())]
    yield b, model, running, waiting
    model.gate.set()
    await asyncio.wait([running, *waiting])


async def test_cancelled_rows_make_room_at_once(busy: Any, metrics: Metrics) -> None:
    b, model, _, waiting = busy
    waiting[0].cancel()
    assert (b.queued_rows, b.queued_requests) == (4, 1)
    taken = b.submit(rows(9, 10, 11, 12), OUTPUT, FOREVER)
    assert (b.queued_rows, b.queued_requests) == (8, 2)
    with pytest.raises(Overloaded, match="8 rows are waiting"):
        b.submit(rows(13), OUTPUT, FOREVER)
    model.gate.set()
    assert values(await taken) == [18, 20, 22, 24]
    assert dropped(metrics)["cancelled_in_queue"] == 1


async def test_expired_rows_make_room_while_the_model_is_busy(busy: Any, metrics: Metrics, clock: Clock) -> None:
    b, model, _, waiting = busy
    clock.pass_soon()
    with pytest.raises(DeadlineExceeded):
        await answered(waiting[1])
    assert (b.queued_rows, b.queued_requests) == (4, 1)
    taken = b.submit(rows(9, 10, 11, 12), OUTPUT, FOREVER)
    model.gate.set()
    assert values(await taken) == [18, 20, 22, 24]
    assert dropped(metrics) == {"expired_in_queue": 1}


async def test_room_made_after_a_refusal_is_found_too(busy: Any) -> None:
    b, _, _, waiting = busy
    for _ in range(3):
        with pytest.raises(Overloaded):
            b.submit(rows(9), OUTPUT, FOREVER)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert not b.submit(rows(9), OUTPUT, FOREVER).done()


async def test_refusing_does_not_look_through_the_queue_each_time(
    executor: ThreadPoolExecutor, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    purge = Waiting.purge

    def counted(self: Waiting) -> None:
        looks.append(1)
        purge(self)

    monkeypatch.setattr(Waiting, "purge", counted)
    model = Model()
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    waiting = [b.submit(rows(value), OUTPUT, FOREVER) for value in range(LIMIT)]
    for _ in range(100):
        with pytest.raises(Overloaded):
            b.submit(rows(9), OUTPUT, FOREVER)
        await asyncio.sleep(0)
    assert len(looks) == 1
    model.gate.set()
    await asyncio.wait([running, *waiting])


async def test_a_cancelled_request_that_is_too_large_for_the_batch_does_not_end_it(
    executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    model = Model()
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    first, large, last = (b.submit(rows(*part), OUTPUT, FOREVER) for part in ((1,), (2, 3, 4, 5), (6,)))
    large.cancel()
    model.gate.set()
    await asyncio.gather(running, first, last)
    assert model.batches == [[0], [1, 6]]


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when it is told."""

    clock = 0.0

    def time(self) -> float:
        return self.clock


class ByHand(Executor):
    """Runs a batch when it is told, so that anything can happen before. Counts the rows it was given, by request."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any], list[Item]]] = []
        self.taken: Counter[int] = Counter()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        batch: list[Item] = args[1]
        self.waiting.append((future, lambda: fn(*args, **kwargs), batch))
        for item in batch:
            self.taken[item.order] += item.size
        return future

    def run(self) -> None:
        """Run what waits longest, if anything does."""
        if self.waiting:
            future, call, _ = self.waiting.pop(0)
            future.set_running_or_notify_cancel()
            future.set_result(call())

    def works_on(self, order: int) -> bool:
        """Whether a batch with rows of this request, which somebody still waits for, has to be run."""
        return any(item.order == order and not item.future.done() for *_, batch in self.waiting for item in batch)


async def turns() -> None:
    """Let the loop do all that is due now."""
    for _ in range(8):
        await asyncio.sleep(0)


STEPS = st.one_of(
    st.tuples(
        st.just("submit"),
        st.sampled_from([1, 2, 3, 4, 5, 6, 600]),
        st.sampled_from([("predict",), ("transform",)]),
        st.sampled_from([1.0, 2.0, FOREVER]),
        st.sampled_from([HIGH, NORMAL, LOW]),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0])),
    st.tuples(st.just("run")),
    st.tuples(st.just("close")),
)


class Sent(NamedTuple):
    """A request that was accepted."""

    future: asyncio.Future[Results]
    size: int
    priority: int
    order: int

    @property
    def large(self) -> bool:
        return self.size > MOST


MOST = 4


@given(steps=st.lists(STEPS, max_size=40), inline_rows=st.sampled_from([0, 2]))
def test_whatever_happens_the_queue_holds_the_rows_that_wait_and_all_are_answered(
    steps: list[tuple[Any, ...]], inline_rows: int
) -> None:
    async def happen(loop: Clockwork) -> None:
        hand, metrics, model = ByHand(), Metrics(), Model()
        batching = Batching(max_rows=MOST, max_queue_rows=LIMIT)
        b = batcher(model, hand, metrics, inline_rows=inline_rows, batching=batching)
        sent: list[Sent] = []
        refused = 0

        def live() -> list[int]:
            left = [one.size - hand.taken[one.order] for one in sent if not one.future.done()]
            return [rows for rows in left if rows]

        def full(size: int, priority: int) -> bool:
            of_its_kind = [one for one in sent if one.large == (size > MOST) and not one.future.done()]
            waiting = [one for one in of_its_kind if hand.taken[one.order] < one.size]
            if size > MOST:
                waiting.sort(key=lambda one: (one.priority, one.order))
                worked_on = [one for one in of_its_kind if hand.works_on(one.order)]
                waiting = [one for one in waiting if one not in worked_on] if worked_on else waiting[1:]
            kept = [one.size - hand.taken[one.order] for one in waiting if one.priority <= priority]
            return bool(kept) and sum(kept) + size > LIMIT

        for step, *details in steps:
            if step == "submit":
                size, outputs, patience, priority = details
                no_room = full(size, priority)
                try:
                    future = b.submit(rows(*range(size)), outputs, loop.clock + patience, priority=priority)
                except (Overloaded, VersionNotReady) as error:
                    refused += 1
                    reasonable = b.closed or no_room or "in time" in str(error)
                    if not reasonable:
                        raise
                else:
                    assert not no_room
                    future.add_done_callback(lambda future: future.cancelled() or future.exception())
                    sent.append(Sent(future, size, priority, b.arrivals))
            elif step == "cancel" and sent:
                sent[details[0] % len(sent)].future.cancel()
            elif step == "pass":
                loop.clock += details[0]
            elif step == "run":
                hand.run()
            elif step == "close":
                b.close()
            assert (b.queued_rows, b.queued_requests) == (sum(live()), len(live()))
            await turns()
            assert (b.queued_rows, b.queued_requests) == (sum(live()), len(live()))
        while hand.waiting:
            hand.run()
            await turns()
        assert all(one.future.done() for one in sent)
        assert (b.queued_rows, b.queued_requests, b.running_rows, b.busy) == (0, 0, 0, False)
        for one in sent:
            if not one.future.cancelled() and one.future.exception() is None:
                (answer,) = one.future.result().values()
                assert answer.tolist() == [2 * value for value in range(one.size)]
        unanswered = sum(one.future.cancelled() or one.future.exception() is not None for one in sent)
        answered_late = sum(dropped(metrics).values()) - refused
        assert unanswered == answered_late

    with asyncio.Runner(loop_factory=Clockwork) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Clockwork)
        runner.run(happen(loop))
