"""The manager over real folders, loaders and models, in this process: what no request can show from outside."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import model_manager
from model_manager.metrics.recording import Metrics
from model_manager.repository.policy import Policy
from model_manager.repository.regular_files import Files
from model_manager.repository.source import Source
from model_manager.serving.following import Follower
from model_manager.serving.improving import Improver
from model_manager.serving.loading import Loader
from model_manager.serving.loop_watch import LoopWatch
from model_manager.serving.manager import Manager
from model_manager.serving.prediction_threads import PredictionThreads
from model_manager.serving.registry import Registry

from tests.held_model import gate
from tests.models import constant, put
from tests.scrape import value
from tests.unit.manager.staging import ONE, TWO, is_ready, loads, running, status
from tools.patience import until


class Stepped(Executor):
    """Runs what it was given when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **options)))
        return future

    def step(self) -> None:
        """Run the oldest call on a thread, and hold the event loop until it has ended."""
        future, call = self.waiting.pop(0)
        with ThreadPoolExecutor(1) as thread:
            future.set_result(thread.submit(call).result())


async def test_a_model_wanted_in_the_turn_in_which_another_ones_load_goes_on_is_waited_for(
    tmp_path: Path, metrics: Metrics
) -> None:
    put(tmp_path, "second", "1", ONE)
    reading, loading, registry = Stepped(), Stepped(), Registry()
    loader = Loader(
        metrics=metrics,
        loading=loading,
        predicting=PredictionThreads(1),
        watch=LoopWatch(),
        policy=Policy(Files(str(tmp_path))),
        library_mismatch="warn",
        max_rows=10,
        timeout_s=1.0,
        compile=False,
    )
    source = await asyncio.to_thread(Source, tmp_path)
    follower = Follower(source, metrics, reading=reading, poll_interval_s=60)
    improver = Improver(loading, stopped=lambda: False)
    manager = Manager(follower, loader, improver, registry, metrics, drain_timeout_s=1)
    converging = asyncio.create_task(manager.run())
    try:
        await until(lambda: reading.waiting, "the first look at the folder")
        reading.step()
        await until(lambda: loading.waiting, "the model to be loaded")
        put(tmp_path, "first", "1", TWO)
        await until(lambda: reading.waiting, "the second look at the folder")
        reading.step()
        loading.step()  # both ended while the loop stood still: it goes on with them in one turn
        await until(lambda: loading.waiting, "its load to go on")
        while reading.waiting or loading.waiting or not registry.reached:
            assert not converging.done()
            for executor in (reading, loading):
                if executor.waiting:
                    executor.step()
            await asyncio.sleep(0)
        assert {name: list(view.ready) for name, view in registry.models.items()} == {
            "first": ["1"],
            "second": ["1"],
        }
    finally:
        converging.cancel()
        await asyncio.wait([converging])
        await manager.drain()
    assert converging.cancelled()


async def test_a_change_of_the_folder_is_read_while_every_loader_thread_is_held(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        held = [stack.enter_context(gate(f"held-{number}")) for number in range(4)]
        for shut in held:
            put(tmp_path, shut.name, "1", shut.artifact(constant(1.0)))
        system = await stack.enter_async_context(running(tmp_path))
        await until(lambda: sum(shut.entered.is_set() for shut in held) == 2, "the loader threads to be held")
        put(tmp_path, "late", "1", ONE)
        await until(lambda: status(system, "late")[0] is not None, "the new model to be wanted")
        assert not any(shut.opened.is_set() for shut in held)
        for shut in held:
            shut.opened.set()
        await until(lambda: is_ready(system, "late"), "the new model to be loaded in its turn")


@contextmanager
def counting_lines() -> Iterator[list[int]]:
    """Count the lines that this thread runs of the server: work, not time."""
    counted, room, before = [0], os.path.dirname(model_manager.__file__), sys.gettrace()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(room):
            return None
        counted[0] += event == "line"
        return trace

    sys.settrace(trace)
    try:
        yield counted
    finally:
        sys.settrace(before)


async def test_bringing_a_version_into_force_takes_no_more_work_among_many_models(tmp_path: Path) -> None:
    async def work_among(count: int) -> int:
        folder = tmp_path / str(count)
        for number in range(count):
            put(folder, f"m{number}", "1", ONE)
        put(folder, "broken", "1", ONE)
        put(folder, "broken", "2", b"no pickle")  # waits to be tried again all the while
        async with running(folder) as system:
            await until(lambda: system.registry.reached, f"{count} models to be ready")
            models = system.registry.models
            with counting_lines() as counted:
                put(folder, "m0", "2", TWO)
                await until(lambda: is_ready(system, "m0", "2"), "the new version to be ready")
            assert system.registry.models is models
            return counted[0]

    few, many = await work_among(4), await work_among(300)
    assert many < 3 * few  # the broken version may be tried again meanwhile, and the folder looked at once more


def want(folder: Path, artifact: Path, versions: int) -> None:
    """Want so many versions of one model, all of the same bytes, in one change of the folder."""
    listed = "".join(f'      "{number + 1}": {{artifact: {artifact}}}\n' for number in range(versions))
    (folder / ".models.yaml").write_text("models:\n  m:\n    versions:\n" + listed)
    (folder / ".models.yaml").rename(folder / "models.yaml")


async def test_a_version_takes_no_more_work_among_many_of_its_model_and_no_turn_of_the_loop_does_much_at_once(
    tmp_path: Path,
) -> None:
    async def work_of(versions: int) -> tuple[float, int]:
        """The work of loading and unloading them, for each of them; and the most in one turn while they go."""
        folder = tmp_path / str(versions)
        artifact = put(folder / "artifacts", "m", "1", ONE) / "model.joblib"
        want(folder, artifact, versions=1)
        async with running(folder) as system:
            await until(lambda: system.registry.reached, "the first version to be ready")
            turns: list[int] = []

            async def count_turns() -> None:
                while True:
                    before = counted[0]
                    await asyncio.sleep(0)
                    turns.append(counted[0] - before)

            with counting_lines() as counted:
                want(folder, artifact, versions)
                await until(lambda: len(system.registry.models["m"].ready) == versions, "all to be ready")
                counting = asyncio.create_task(count_turns())
                want(folder, artifact, versions=1)
                await until(lambda: len(system.registry.models["m"].statuses) == 1, "all but one to be gone")
                counting.cancel()
            return counted[0] / versions, max(turns)

    few, most_of_few = await work_of(100)
    many, most_of_many = await work_of(400)
    assert many < 1.5 * few
    assert most_of_many < 2 * most_of_few


async def test_a_load_that_is_no_longer_wanted_is_cancelled_and_no_failure(tmp_path: Path) -> None:
    with gate("cancelled") as shut:
        package = put(tmp_path, "m", "1", shut.artifact(constant(1.0)))
        async with running(tmp_path) as system:
            await until(shut.entered.is_set, "the load to be held")
            (package / "model.joblib").with_suffix(".new").write_bytes(TWO)
            (package / "model.new").replace(package / "model.joblib")
            await until(lambda: is_ready(system, "m"), "the other bytes to be ready")
            assert not shut.opened.is_set()
            failures = value(
                system.metrics.families(),
                "model_manager_load_failures_total",
                model_name="m",
                model_version="1",
                reason="model_raised",
            )
            assert failures is None
            assert loads() == 0
