"""The batcher's contract, one test a rule. The model is a function that the test holds and releases."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from model_manager.errors import DeadlineExceeded, Overloaded, PredictionFailed, VersionNotReady
from model_manager.inference.cost import InlineLimits
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batch import Results
from model_manager.serving.batcher import Batcher
from model_manager.signature import Layout, Rows

from tests.unit.batcher.staging import FOREVER, OUTPUT, Clock, Model, answered, batcher, rows, values


async def test_idle_model_is_called_in_the_same_turn_with_everything_that_arrived_in_it(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10)
    futures = [b.submit(rows(value), OUTPUT, FOREVER) for value in (1, 2, 3)]
    await asyncio.sleep(0)
    assert [values(future.result()) for future in futures] == [[2], [4], [6]]
    assert model.batches == [[1, 2, 3]]


async def test_arrivals_during_a_running_batch_leave_together_when_it_ends_counted_in_rows(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    first = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    assert b.busy
    waiting = [b.submit(rows(*part), OUTPUT, FOREVER) for part in ((1, 2), (3,), (4, 5), (6,))]
    model.gate.set()
    answers = await asyncio.gather(first, *waiting)
    assert [values(answer) for answer in answers] == [[0], [2, 4], [6], [8, 10], [12]]
    assert model.batches == [[0], [1, 2, 3], [4, 5, 6]]  # two more rows would have been five: more than max_rows


async def test_a_request_larger_than_max_rows_is_a_batch_of_its_own(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=100)
    big, small = b.submit(rows(*range(6)), OUTPUT, FOREVER), b.submit(rows(9), OUTPUT, FOREVER)
    await asyncio.gather(big, small)
    assert model.batches == [[0, 1, 2, 3, 4, 5], [9]]


@pytest.mark.parametrize(
    ("second", "outputs"),
    [(rows(2), ("transform",)), (rows(2, width=2), OUTPUT), (Rows((np.array([[2]], np.int64),)), OUTPUT)],
    ids=["outputs", "width", "dtype"],
)
async def test_different_outputs_widths_and_dtypes_never_share_a_batch(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics, second: Rows, outputs: tuple[str, ...]
) -> None:
    b = batcher(model, executor, metrics, inline_rows=100)
    futures = [
        b.submit(rows(1), OUTPUT, FOREVER),
        b.submit(second, outputs, FOREVER),
        b.submit(rows(3), OUTPUT, FOREVER),
    ]
    answers = await asyncio.gather(*futures)
    assert model.batches == [[1, 3], [2]]
    assert [list(answer) for answer in answers] == [["predict"], list(outputs), ["predict"]]


async def test_the_model_runs_off_the_loop_unless_its_batches_are_cheap(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=1)
    await b.submit(rows(1), OUTPUT, FOREVER)
    assert model.threads == {threading.get_ident()}
    model.threads.clear()
    await b.submit(rows(1, 2), OUTPUT, FOREVER)
    assert threading.get_ident() not in model.threads


async def test_a_cancelled_request_is_left_out_and_its_batch_is_undisturbed(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    waiting = [b.submit(rows(value), OUTPUT, FOREVER) for value in (1, 2, 3)]
    running.cancel()
    waiting[1].cancel()
    model.gate.set()
    assert [values(answer) for answer in await asyncio.gather(waiting[0], waiting[2])] == [[2], [6]]
    assert model.batches == [[0], [1, 3]]
    assert b.queued_rows == 0


async def test_an_expired_request_is_told_in_time_and_never_reaches_the_model(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics, clock: Clock
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(0), OUTPUT, clock.soon())
    await model.running()
    queued = b.submit(rows(1), OUTPUT, clock.soon())
    patient = b.submit(rows(2), OUTPUT, FOREVER)
    clock.pass_soon()
    for impatient in (running, queued):
        with pytest.raises(DeadlineExceeded):
            await answered(impatient)
    model.gate.set()
    assert values(await patient) == [4]
    assert model.batches == [[0], [2]]


async def test_a_request_that_is_late_when_it_arrives_expires_without_a_batch(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=1)
    with pytest.raises(DeadlineExceeded):
        await b.submit(rows(1), OUTPUT, asyncio.get_running_loop().time() - 1)
    assert model.batches == []


@pytest.mark.parametrize("inline_rows", [0, 100], ids=["on a thread", "on the loop"])
async def test_a_failing_batch_is_retried_once_so_that_only_the_guilty_request_fails(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics, inline_rows: int
) -> None:
    b = batcher(model, executor, metrics, inline_rows=inline_rows)
    futures = [b.submit(rows(value), OUTPUT, FOREVER) for value in (1, 666, 3)]
    answers = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(answers[1], PredictionFailed)
    assert isinstance(answers[1].__cause__, ValueError)
    assert "beast" not in str(answers[1])
    assert [values(answer) for answer in (answers[0], answers[2]) if isinstance(answer, dict)] == [[2], [6]]
    assert model.batches == [[1, 666, 3], [1], [666], [3]]
    assert values(await b.submit(rows(5), OUTPUT, FOREVER)) == [10]


async def test_a_wrong_row_count_is_an_error_and_never_shifts_answers(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    model.lose_a_row_of = 2
    b = batcher(model, executor, metrics, inline_rows=100)
    futures = [b.submit(rows(value), OUTPUT, FOREVER) for value in (1, 2, 3)]
    answers = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(answers[1], PredictionFailed)
    assert "0 rows of predict for 1 rows" in str(answers[1])
    assert [values(answer) for answer in (answers[0], answers[2]) if isinstance(answer, dict)] == [[2], [6]]


async def test_a_full_queue_refuses_at_once(model: Model, executor: ThreadPoolExecutor, metrics: Metrics) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    first = b.submit(rows(0), OUTPUT, FOREVER)
    await model.running()
    waiting = [b.submit(rows(1, 2, 3, 4), OUTPUT, FOREVER), b.submit(rows(5, 6, 7, 8), OUTPUT, FOREVER)]
    with pytest.raises(Overloaded, match="8 rows are waiting"):
        b.submit(rows(9), OUTPUT, FOREVER)
    model.gate.set()
    await asyncio.gather(first, *waiting)
    assert values(await b.submit(rows(9), OUTPUT, FOREVER)) == [18]


async def test_max_delay_gathers_until_the_batch_is_full(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=9, batching=Batching(max_rows=3, max_delay_ms=10_000))
    first = b.submit(rows(1), OUTPUT, FOREVER)
    await asyncio.sleep(0)
    second = b.submit(rows(2, 3), OUTPUT, FOREVER)
    await asyncio.gather(first, second)
    assert model.batches == [[1, 2, 3]]


async def test_max_delay_is_the_longest_an_idle_model_waits(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=9, batching=Batching(max_rows=3, max_delay_ms=1))
    assert values(await b.submit(rows(1), OUTPUT, FOREVER)) == [2]


async def test_two_models_share_the_thread_limit(two_threads: ThreadPoolExecutor, metrics: Metrics) -> None:
    models = [Model(), Model(), Model()]
    for model in models:
        model.gate.clear()
    futures = [batcher(model, two_threads, metrics).submit(rows(1), OUTPUT, FOREVER) for model in models]
    await models[0].running()
    await models[1].running()
    assert models[2].batches == []  # two threads, both taken
    for model in models:
        model.gate.set()
    await asyncio.gather(*futures)


async def test_close_answers_everything_queued_and_lets_the_running_batch_finish(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics)
    model.gate.clear()
    running = b.submit(rows(1), OUTPUT, FOREVER)
    await model.running()
    queued = b.submit(rows(2), OUTPUT, FOREVER)
    b.close()
    with pytest.raises(VersionNotReady):
        await queued
    with pytest.raises(VersionNotReady):
        b.submit(rows(3), OUTPUT, FOREVER)
    model.gate.set()
    assert values(await running) == [2]
    assert model.batches == [[1]]


async def test_outputs_without_a_measured_cost_and_long_text_run_off_the_loop(
    executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    limits = InlineLimits({"predict": {4: 0.0}}, {"predict": {8: 0.0}}, text=[0], layout=Layout.TEXT)
    threads: list[int] = []

    def model(rows: Rows, outputs: tuple[str, ...]) -> Results:
        threads.append(threading.get_ident())
        return {output: np.zeros(len(rows)) for output in outputs}

    b = Batcher(model, batching=Batching(), inline=limits, executor=executor, metrics=metrics.servable("m", "1"))
    for outputs, text in ((("predict",), "short"), (("transform",), "short"), (("predict",), "much longer")):
        await b.submit(Rows((np.array([text], dtype=object),)), outputs, FOREVER)
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False, False]
    assert [batch.on for batch in b.recent] == ["loop", "thread", "thread"]


async def alone(b: Batcher, times: int = 20) -> None:
    """Ask one at a time, as a lone client does."""
    for _ in range(times):
        await asyncio.wait_for(b.submit(rows(0), OUTPUT, FOREVER), 60)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_who_comes_alone_time_and_again_is_answered_in_the_very_call(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10)
    assert not b.submit(rows(1), OUTPUT, FOREVER).done(), "nothing is known of its like yet"
    await alone(b)
    future = b.submit(rows(1), OUTPUT, FOREVER)
    assert values(future.result()) == [2]


async def test_what_comes_with_it_leaves_together_and_is_expected_together_from_then_on(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10)
    await alone(b)
    model.batches.clear()
    futures = [b.submit(rows(value), OUTPUT, FOREVER) for value in (1, 2, 3)]
    assert [future.done() for future in futures] == [True, False, False]
    await asyncio.sleep(0)
    again = [b.submit(rows(value), OUTPUT, FOREVER) for value in (4, 5)]
    assert not any(future.done() for future in again)
    await asyncio.gather(*futures, *again)
    assert model.batches == [[1], [2, 3], [4, 5]]


async def test_batches_of_one_do_not_make_it_alone_where_others_wait(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10, batching=Batching(max_rows=1, max_queue_rows=100))
    await asyncio.gather(*(b.submit(rows(1), OUTPUT, FOREVER) for _ in range(20)))
    assert not b.submit(rows(1), OUTPUT, FOREVER).done()


async def test_only_what_is_computed_on_the_loop_is_answered_in_the_very_call(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=1)
    await alone(b)
    large = b.submit(rows(1, 2), OUTPUT, FOREVER)
    assert not large.done()
    await large
    assert len(model.threads) == 2


async def test_a_request_that_comes_too_late_is_not_computed_though_it_comes_alone(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10)
    await alone(b)
    model.batches.clear()
    with pytest.raises(DeadlineExceeded):
        await b.submit(rows(1), OUTPUT, b.now() - 1)
    assert model.batches == []


async def test_a_guilty_request_that_comes_alone_gets_the_error(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10)
    await alone(b)
    with pytest.raises(PredictionFailed):
        await b.submit(rows(666), OUTPUT, FOREVER)
    await alone(b, 1)


async def test_one_at_a_time_is_waited_for_where_a_delay_is_asked_for(
    model: Model, executor: ThreadPoolExecutor, metrics: Metrics
) -> None:
    b = batcher(model, executor, metrics, inline_rows=10, batching=Batching(max_rows=4, max_delay_ms=1))
    await alone(b)
    future = b.submit(rows(1), OUTPUT, FOREVER)
    assert not future.done()
    await future
