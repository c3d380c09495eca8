"""What is computed on the event loop and does not come back: it is ended there, and never computed there again."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from blockbuster import BlockBuster
from model_manager.errors import PredictionFailed
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.metrics.recording import Metrics
from model_manager.repository.wanted import Batching
from model_manager.serving import loop_watch
from model_manager.serving.batcher import Batcher
from model_manager.serving.loop_watch import LoopWatch
from model_manager.signature import Rows

from tests.moody_model import MoodyRegressor
from tests.scrape import value
from tests.unit.batcher.staging import FOREVER, LABELS, OUTPUT, answered, inline_up_to, rows, values
from tools.patience import stretched, until


def spin() -> None:
    while True:
        pass


def stubborn() -> None:
    """Takes an interrupt for one of its own errors, once."""
    try:
        spin()
    except BaseException:
        spin()


HANGS: dict[str, Callable[[], Any]] = {
    "a loop": spin,
    "a handler of its own": stubborn,
    "a sleep": lambda: time.sleep(10_000),
    "a lock": lambda: threading.Event().wait(),
    "an expression": lambda: re.match(r"(a+)+$", "a" * 64 + "b"),
}


class Hanging(MoodyRegressor):
    """Does what a test wants for 666."""

    hang: Callable[[], Any]

    def predict(self, X: Any) -> Any:
        if 666 in X:
            self.hang()
        return super().predict(X)


@pytest.mark.parametrize("how", HANGS)
async def test_it_is_ended_and_fails_its_requests_alone(
    executor: ThreadPoolExecutor,
    metrics: Metrics,
    no_blocking_calls: BlockBuster,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(loop_watch, "HELD_S", 0.2)
    monkeypatch.setattr(loop_watch, "_AGAIN_S", 0.1)
    no_blocking_calls.functions["time.sleep"].deactivate()
    model = Hanging().fit([[0.0, 0.0]], [0.0])
    model.hang = HANGS[how]
    predictor = SklearnPredictor(model, infer_signature(model))
    threads: list[int] = []

    def predict(batch: Rows, outputs: tuple[str, ...]) -> Any:
        threads.append(threading.get_ident())
        return predictor.predict(batch, outputs)

    watch, told = LoopWatch(), list[tuple[str, str]]()
    metrics_of_it = metrics.servable("m", "1")
    b = Batcher(
        predict,
        batching=Batching(),
        inline=inline_up_to(10),
        executor=executor,
        metrics=metrics_of_it,
        watch=watch,
    )
    b.hung = lambda where, too_many: told.append((where, too_many))
    async with watch.watching():
        assert values(await b.submit(rows(1, width=2), OUTPUT, FOREVER)) == [1]
        futures = [b.submit(rows(666, width=2), OUTPUT, FOREVER) for _ in range(3)]
        for future in futures:
            with pytest.raises(PredictionFailed, match="far too long"):
                await answered(future)
        assert len(threads) == 2  # it is not tried item by item
        b.use(predict, inline=inline_up_to(10))
        assert values(await b.submit(rows(3, width=2), OUTPUT, FOREVER)) == [3]
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, True, False]
    ((where, too_many),) = told
    assert where.startswith("on the event loop, at ")
    assert "test_loop_watch.py" in where
    assert too_many == ""
    assert value(metrics.families(), "model_manager_predictions_given_up_total", **LABELS) == 1


async def test_what_takes_long_elsewhere_on_the_loop_is_not_interrupted() -> None:
    watch, before = LoopWatch(), signal.getsignal(signal.SIGALRM)
    async with watch.watching():
        await until(lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0, "the watch to begin")
        time.sleep(1.8)  # noqa: ASYNC251  a body that takes long to read: two alarms ring
    assert watch.ended is None
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before
    assert np.isfinite(signal.getitimer(signal.ITIMER_PROF)[0])


FROZEN = """
import asyncio, itertools, signal, sys, time
from model_manager.serving import loop_watch

loop_watch.FROZEN_S = loop_watch._BEAT_S = 0.5

async def run():
    async with loop_watch.LoopWatch().watching():
        await asyncio.sleep(0.3)
        {code}

asyncio.run(run())
print("went on")
"""


def frozen(code: str) -> subprocess.CompletedProcess[str]:
    """Run a process whose event loop does this."""
    program = FROZEN.format(code=code)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=stretched(50))


@pytest.mark.parametrize(
    ("code", "signals"),
    [
        ("sum(itertools.repeat(0))", {signal.SIGPROF}),  # lets no other thread run
        ("while True: pass", {signal.SIGPROF, signal.SIGABRT}),  # whichever is first
        ("time.sleep(10000)", {signal.SIGABRT}),
    ],
)
def test_a_loop_that_stays_frozen_ends_the_process_and_says_where(code: str, signals: set[int]) -> None:
    process = frozen(code)
    assert -process.returncode in signals
    assert 'File "<string>", line 10 in run' in process.stderr
    assert process.stdout == ""


def test_a_process_that_was_suspended_goes_on() -> None:
    program = "import os; os.kill(os.getpid(), signal.SIGSTOP); await asyncio.sleep(1)"
    process = subprocess.Popen([sys.executable, "-c", FROZEN.format(code=program)], stdout=subprocess.PIPE, text=True)
    try:
        _, status = os_wait_stopped(process.pid)
        assert status == signal.SIGSTOP
        time.sleep(1.5)  # longer than a loop may be frozen there
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=stretched(30))[0] == "went on\n"
        assert process.returncode == 0
    finally:
        process.kill()


def os_wait_stopped(pid: int) -> tuple[int, int]:
    """Wait until a child of ours is stopped; returns what stopped it."""
    import os

    found, status = os.waitpid(pid, os.WUNTRACED)
    return found, os.WSTOPSIG(status)


async def test_a_task_of_the_watch_ends_with_it() -> None:
    before = asyncio.all_tasks()
    async with LoopWatch().watching():
        assert len(asyncio.all_tasks() - before) == 1
    await until(lambda: asyncio.all_tasks() == before, "its task to end")
