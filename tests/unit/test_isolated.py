"""Predicting in a process of its own: the same answers, and what its code does there costs the guilty request."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import pytest
from model_manager.errors import LoadFailed, PredictionFailed
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.packaging.sample import rows_of
from model_manager.repository.wanted import ServableId
from model_manager.serving.batch import Item, run
from model_manager.serving.child import PREPARE
from model_manager.serving.isolated import IsolatedPredictor
from model_manager.serving.nursery import Nursery
from model_manager.serving.proving import Reading
from model_manager.serving.trying import Children
from model_manager.serving.turns import Turns
from model_manager.signature import Rows

from tests.hostile_models import DEEDS, ObedientRegressor
from tests.models import dump
from tests.unit.test_shared_memory import assert_same
from tests.unit.test_zoo import ZOO
from tools.patience import stretched, until

SAMPLE: Final = [
    *[name for number, name in enumerate(ZOO) if number % 12 == 0],
    *[name for name in ZOO if name.startswith("text")][:2],
    *[name for name in ZOO if "categor" in name or "gaps" in name or "two" in name or "targets" in name],
]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()  # so that the first child makes it start a process
    made = Nursery(ours, os.getpid(), PREPARE)
    yield made
    made.close()


@asynccontextmanager
async def isolated(
    nursery: Nursery, estimator: Any, *, timeout_s: float = 60, memory_mb: int | None = None
) -> AsyncIterator[IsolatedPredictor]:
    children = Children(nursery, Turns(2), Turns(1), timeout_s=stretched(60), cpu_s=60, memory_mb=memory_mb)
    with os.fdopen(os.memfd_create("artifact"), "w+b") as file:
        file.write(dump(estimator))
        file.flush()
        file.seek(0)
        reading = Reading("joblib", None, "warn", (), 1 << 30)
        predictor = IsolatedPredictor(ServableId("m", "1"), children, reading, file, timeout_s=timeout_s)
        await predictor.start()
    assert predictor._task is not None
    try:
        yield predictor
    finally:
        predictor.close()
        await asyncio.wait([predictor._task])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", SAMPLE)
async def test_every_answer_is_what_it_is_without(nursery: Nursery, name: str) -> None:
    estimator, held_out = ZOO[name][0]()
    signature = infer_signature(estimator)
    plain, rows = SklearnPredictor(estimator, signature), rows_of(held_out, signature)
    async with isolated(nursery, estimator) as predictor:
        assert repr(predictor.signature) == repr(signature)
        for batch in (rows, Rows(tuple(block[:1] for block in rows.blocks))):
            for outputs in (*((output.name,) for output in signature.offered), (signature.default_output,)):
                expected = plain.predict(batch, outputs)
                got = await asyncio.to_thread(predictor.predict, batch, outputs)
                assert list(got) == list(expected)
                for output, values in expected.items():
                    assert_same(got[output], np.ascontiguousarray(values))


def items(*rows: Sequence[float]) -> list[Item]:
    loop = asyncio.get_running_loop()
    blocks = [Rows((np.array([row]),)) for row in rows]
    return [Item(block, 1, ("predict",), loop.time() + 60, loop.create_future(), 0, None, 0.0) for block in blocks]


def deed(name: str) -> float:
    return float(list(DEEDS).index(name) + 1)


SEVEN: Final = Rows((np.array([[7.0, 0.0]]),))
FATAL: Final = [
    "exit 0", "segfault", "SIGTERM", "SIGKILL", "its group", "leaving processes", "closing files",
    "writing garbage", "changing the process",
]  # fmt: skip


@pytest.mark.parametrize("name", FATAL)
async def test_of_a_batch_the_guilty_alone_fails(nursery: Nursery, name: str) -> None:
    ends: list[tuple[str, bool]] = []
    async with isolated(nursery, ObedientRegressor()) as predictor:
        predictor.ended = lambda how, idle: ends.append((how, idle))
        batch = items((1.0, 0), (2.0, 0), (3.0, deed(name)), (4.0, 0))
        ran = await asyncio.to_thread(run, predictor.predict, batch)
        await until(lambda: len(ends) == 2, "both ends to be told")  # of the batch, and of its guilty one alone
    assert [isinstance(answer, PredictionFailed) for answer in ran.answers] == [False, False, True, False]
    answers = [answer["predict"].tolist() for answer in ran.answers if not isinstance(answer, PredictionFailed)]
    assert answers == [[1.0], [2.0], [4.0]]
    assert ran.lost is not None
    assert not ran.lost.hung
    assert [idle for _, idle in ends] == [False, False]


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "CancelledError", "RecursionError", "allocating"])
async def test_what_is_raised_there_costs_the_guilty_alone_and_not_the_process(nursery: Nursery, name: str) -> None:
    async with isolated(nursery, ObedientRegressor(), memory_mb=400) as predictor:
        before = predictor._process
        ran = await asyncio.to_thread(run, predictor.predict, items((1.0, 0), (2.0, deed(name)), (3.0, 0)))
        assert predictor._process is before
    assert [isinstance(answer, PredictionFailed) for answer in ran.answers] == [False, True, False]
    assert ran.lost is None


@pytest.mark.parametrize("name", ["sleeping", "spinning", "holding the interpreter"])
async def test_what_does_not_return_is_ended_once(nursery: Nursery, name: str) -> None:
    async with isolated(nursery, ObedientRegressor(), timeout_s=0.1) as predictor:
        first = predictor._process
        ran = await asyncio.to_thread(run, predictor.predict, items((1.0, 0), (2.0, deed(name))))
        assert all(isinstance(answer, PredictionFailed) for answer in ran.answers)
        assert ran.lost is not None
        assert ran.lost.hung
        await until(lambda: predictor._process not in (None, first), "another process")
        assert (await asyncio.to_thread(predictor.predict, SEVEN, ("predict",)))["predict"].tolist() == [7.0]


async def test_a_process_that_ends_while_nobody_asks_costs_no_request(nursery: Nursery) -> None:
    ends: list[bool] = []
    async with isolated(nursery, ObedientRegressor()) as predictor:
        predictor.ended = lambda how, idle: ends.append(idle)
        process = predictor._process
        assert process is not None
        process.kill()
        await until(lambda: predictor._process is not process, "the end to be noticed")
        assert (await asyncio.to_thread(predictor.predict, SEVEN, ("predict",)))["predict"].tolist() == [7.0]
        assert ends == [True]


def files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_nothing_is_left_open(nursery: Nursery) -> None:
    async with isolated(nursery, ObedientRegressor()):
        pass
    await asyncio.sleep(0)
    before = files_open()
    for _ in range(3):
        async with isolated(nursery, ObedientRegressor()) as predictor:
            await asyncio.to_thread(run, predictor.predict, items((1.0, deed("exit 0"))))
    await until(lambda: files_open() == before, "everything to be closed")


async def test_one_that_cannot_be_read_is_refused_and_leaves_nothing(nursery: Nursery) -> None:
    before = files_open()
    with pytest.raises(LoadFailed, match="holds a dict"):
        async with isolated(nursery, {"no": "model"}):
            pass
    await until(lambda: files_open() == before, "everything to be closed")
