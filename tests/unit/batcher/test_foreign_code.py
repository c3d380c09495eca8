"""A model is foreign code: whatever it raises or returns is the guilty request's failure, and nobody else's."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from model_manager.errors import PredictionFailed
from model_manager.metrics.recording import FOLD_ROWS_AT, Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving.batch import Results
from model_manager.serving.batcher import Batcher
from model_manager.signature import Layout, Output, Rows, Signature

from tests.unit.batcher.staging import FOREVER, OUTPUT, Model, answered, batcher, inline_up_to, rows, values

NO_ERRORS = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, StopIteration, StopAsyncIteration)


class Unprintable(BaseException):
    """Cannot even be told."""

    def __str__(self) -> str:
        raise SystemExit(4)


@pytest.mark.parametrize("kind", [*NO_ERRORS, Unprintable])
@pytest.mark.parametrize("inline_rows", [0, 100], ids=["on a thread", "on the loop"])
async def test_what_is_no_error_fails_the_guilty_request_alone(
    executor: ThreadPoolExecutor, metrics: Metrics, kind: type[BaseException], inline_rows: int
) -> None:
    model = Model(raises=kind)
    b = batcher(model, executor, metrics, inline_rows=inline_rows)
    futures = [b.submit(rows(value), OUTPUT, FOREVER) for value in (1, 666, 3)]
    answers = await answered(asyncio.gather(*futures, return_exceptions=True))
    assert isinstance(answers[1], PredictionFailed)
    assert str(answers[1]) == "the model failed on this input"
    assert isinstance(answers[1].__cause__, kind)
    assert [values(answer) for answer in (answers[0], answers[2]) if isinstance(answer, dict)] == [[2], [6]]
    assert model.batches == [[1, 666, 3], [1], [666], [3]]
    with pytest.raises(PredictionFailed):
        await b.submit(rows(666), OUTPUT, FOREVER)
    assert values(await b.submit(rows(5), OUTPUT, FOREVER)) == [10]


@pytest.mark.parametrize("inline_rows", [0, 100], ids=["on a thread", "on the loop"])
async def test_an_answer_that_cannot_be_counted_is_an_answer_and_the_next_batch_leaves(
    executor: ThreadPoolExecutor, metrics: Metrics, caplog: pytest.LogCaptureFixture, inline_rows: int
) -> None:
    signature = Signature(Layout.ARRAY, None, False, (Output("predict", "BYTES", (-1,), ("a", "b")),))

    def labels(rows: Rows, outputs: tuple[str, ...]) -> Results:
        answer = np.empty(len(rows), dtype=object)
        answer[:] = [{} for _ in range(len(rows))]  # a label of the model's own that has no hash
        return {"predict": answer}

    b = Batcher(
        labels,
        batching=Batching(max_rows=FOLD_ROWS_AT, max_queue_rows=2 * FOLD_ROWS_AT),
        inline=inline_up_to(inline_rows),
        executor=executor,
        metrics=metrics.servable("m", "1", signature),
    )
    many = rows(*range(FOLD_ROWS_AT))  # so many that they are counted at once
    answers = await answered(asyncio.gather(b.submit(many, OUTPUT, FOREVER), b.submit(many, OUTPUT, FOREVER)))
    assert [len(answer["predict"]) for answer in answers] == [FOLD_ROWS_AT, FOLD_ROWS_AT]
    told = [record.message for record in caplog.records]
    assert told == ["predictions of m/1 cannot be counted: TypeError: unhashable type: 'dict'"] * 2
