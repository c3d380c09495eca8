"""What the batcher counts as waiting is what waits: rows that were cancelled or have expired give their place away."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
    """Runs a batch when it is told, so that anything can happen before."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.taken: set[asyncio.Future[Results]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        batch: list[Item] = args[1]
        self.taken.update(item.future for item in batch)
        return future

    def run(self) -> None:
        """Run what waits longest, if anything does."""
        if self.waiting:
            future, call = self.waiting.pop(0)
            future.set_running_or_notify_cancel()
            future.set_result(call())


async def turns() -> None:
    """Let the loop do all that is due now."""
    for _ in range(8):
        await asyncio.sleep(0)


STEPS = st.one_of(
    st.tuples(
        st.just("submit"),
        st.integers(1, 6),
        st.sampled_from([("predict",), ("transform",)]),
        st.sampled_from([1.0, 2.0, FOREVER]),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0])),
    st.tuples(st.just("run")),
    st.tuples(st.just("close")),
)


@given(steps=st.lists(STEPS, max_size=40), inline_rows=st.sampled_from([0, 2]))
def test_whatever_happens_the_queue_holds_the_rows_that_wait_and_all_are_answered(
    steps: list[tuple[Any, ...]], inline_rows: int
) -> None:
    async def happen(loop: Clockwork) -> None:
        hand, metrics = ByHand(), Metrics()
        b = batcher(
            Model(),
            hand,
            metrics,
            inline_rows=inline_rows,
            batching=Batching(max_rows=4, max_queue_rows=LIMIT),
        )
        sent: list[tuple[asyncio.Future[Results], int]] = []
        refused = 0

        def live() -> list[int]:
            return [size for future, size in sent if not future.done() and future not in hand.taken]

        for step, *details in steps:
            if step == "submit":
                size, outputs, patience = details
                full = bool(live()) and sum(live()) + size > LIMIT
                try:
                    future = b.submit(rows(*range(size)), outputs, loop.clock + patience)
                except (Overloaded, VersionNotReady):
                    refused += 1
                    assert b.closed or full
                else:
                    assert not full
                    future.add_done_callback(lambda future: future.cancelled() or future.exception())
                    sent.append((future, size))
            elif step == "cancel" and sent:
                sent[details[0] % len(sent)][0].cancel()
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
        assert all(future.done() for future, _ in sent)
        assert (b.queued_rows, b.queued_requests, b.running_rows, b.busy) == (0, 0, 0, False)
        unanswered = sum(future.cancelled() or future.exception() is not None for future, _ in sent)
        answered_late = sum(dropped(metrics).values()) - refused
        assert unanswered == answered_late

    with asyncio.Runner(loop_factory=Clockwork) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Clockwork)
        runner.run(happen(loop))
