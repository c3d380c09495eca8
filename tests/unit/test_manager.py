"""The manager over real folders, loaders and models, in this process: what no request can show from outside."""

import asyncio
import datetime
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from model_manager.metrics.recording import Metrics
from model_manager.repository.lifecycle import State
from model_manager.repository.source import Source
from model_manager.serving import manager as manager_module
from model_manager.serving.following import Follower
from model_manager.serving.loading import Loader
from model_manager.serving.manager import Manager
from model_manager.serving.registry import Registry
from model_manager.serving.system import System
from model_manager.settings import Settings

from tests.held_model import gate
from tests.models import constant, dump, iris_classifier, put
from tests.raising_model import RaisingRegressor
from tests.scrape import value

ONE, TWO = dump(constant(1.0)), dump(constant(2.0))


async def until(condition: Callable[[], Any], what: str) -> None:
    """Let the loop run until a condition holds."""
    try:
        async with asyncio.timeout(40):
            while not condition():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"still waiting for {what}") from None


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[System]:
    """A system that follows a folder; it must not crash."""
    chosen = {"compile": "off", "poll_interval_s": 60, **settings}
    system = await asyncio.to_thread(lambda: System(Settings(models=folder, **chosen)))
    crashes: list[BaseException] = []
    async with system.running(crashed=crashes.append):
        yield system
    assert not crashes


def status(system: System, model: str, version: str = "1") -> tuple[State | None, str]:
    """State and reason of one version; no state when it is not known."""
    view = system.registry.models.get(model)
    found = view.statuses.get(version) if view is not None else None
    return (found.state, found.reason) if found is not None else (None, "")


def is_ready(system: System, model: str, version: str = "1") -> bool:
    return status(system, model, version) == (State.READY, "")


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
        compiling=loading,
        predicting=loading,
        library_mismatch="warn",
        max_rows=10,
        timeout_s=1.0,
        compile=False,
        stopped=lambda: False,
    )
    source = await asyncio.to_thread(Source, tmp_path)
    follower = Follower(source, metrics, reading=reading, poll_interval_s=60)
    manager = Manager(follower, loader, registry, metrics, drain_timeout_s=1)
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
    """Count the lines that this thread runs in the room of the manager: work, not time."""
    counted, room, before = [0], os.path.dirname(manager_module.__file__), sys.gettrace()

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


ENDINGS = [
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
    CancelledError(),
    StopIteration(),
    BaseException("of its own"),
]


@pytest.mark.parametrize("where", ["unpickling", "width", "predict"])
@pytest.mark.parametrize(
    "error", ENDINGS, ids=[f"{type(error).__module__}.{type(error).__name__}" for error in ENDINGS]
)
async def test_what_a_models_code_ends_programs_by_fails_that_version_alone(
    tmp_path: Path, error: BaseException, where: str
) -> None:
    package = put(tmp_path, "bad", "1", dump(RaisingRegressor(where, error)))
    (package / "metadata.json").write_text(json.dumps({"golden": {"instances": [[0, 0]], "outputs": {"predict": [0]}}}))
    put(tmp_path, "good", "1", ONE)
    async with running(tmp_path) as system:
        await until(lambda: is_ready(system, "good"), "the other model to be ready")
        await until(lambda: status(system, "bad")[0] is State.FAILED, "the version to fail")
        reason = status(system, "bad")[1]
        assert type(error).__name__ in reason
        assert str(error) in reason
        put(tmp_path, "bad", "2", TWO)
        await until(lambda: is_ready(system, "bad", "2"), "the next version to be ready")


class Unspeakable(BaseException):
    """Cannot even be put into words."""

    def __str__(self) -> str:
        raise SystemExit(4)


class UnspeakableError(Unspeakable, Exception):
    """An ordinary one that cannot."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unspeakable(), "model_raised: proving it raised Unspeakable: its message cannot be read (SystemExit)"),
        (UnspeakableError(), "internal: proving it raised UnspeakableError: its message cannot be read (SystemExit)"),
    ],
)
async def test_an_exception_whose_text_raises_is_told_by_its_name(
    tmp_path: Path, error: BaseException, reason: str
) -> None:
    put(tmp_path, "bad", "1", dump(RaisingRegressor("width", error)))
    async with running(tmp_path) as system:
        await until(lambda: status(system, "bad")[0] is State.FAILED, "the version to fail")
        assert status(system, "bad")[1] == reason


async def test_what_ends_programs_while_forms_are_looked_for_leaves_the_version_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*arguments: Any, **options: Any) -> Any:
        raise SystemExit(5)

    monkeypatch.setattr("model_manager.inference.compiled.compilation.candidates", ends)
    put(tmp_path, "m", "1", ONE)
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: is_ready(system, "m"), "the version to be ready")
        servable = system.registry.servable("m", None)
        await until(lambda: servable.report is not None, "the search to end")
        assert servable.form.properties() == {
            "form": "sklearn",
            "not_compiled_because": "compiling failed: SystemExit: 5",
        }
        assert is_ready(system, "m")


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
            assert _loading() == 0


def _loading() -> int:
    """The tasks that load a version, look for faster forms of it, or wait to do so again."""
    coroutines = [task.get_coro() for task in asyncio.all_tasks()]
    return sum(getattr(one, "__qualname__", "") == "Manager._load_and_improve" for one in coroutines)


FIRST_BUDGET_S = "model_manager.inference.compiled.compilation.FIRST_BUDGET_S"
FIRST_WAIT_S = "model_manager.inference.compiled.compilation.FIRST_WAIT_S"
IRIS = dump(iris_classifier())


async def test_compiling_that_ran_out_of_time_is_said_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FIRST_BUDGET_S, 0.0)
    monkeypatch.setattr(FIRST_WAIT_S, 0.001)
    caplog.set_level("INFO")
    put(tmp_path, "iris", "1", IRIS)
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: caplog.text.count("tried again at") >= 2, "compiling to run out of time twice")
        (row,) = await system.index()
        assert (row.state, row.parameters["form"]) == ("READY", "sklearn")
        assert row.parameters["not_compiled_because"] == "compiling was given 0 s of CPU time, and they are over"
        again = datetime.datetime.fromisoformat(row.parameters["compiled_again_at"])
        assert abs(again - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)
        monkeypatch.setattr(FIRST_BUDGET_S, 100.0)
        await until(lambda: system.registry.servable("iris", None).form.name != "sklearn", "a form to be found")
        (row,) = await system.index()
        assert row.parameters.keys() == {"form", "speedup_1_rows", "speedup_256_rows", "largest_difference"}
        await until(lambda: _loading() == 0, "the search to be over")


async def test_a_version_that_waits_to_be_compiled_again_goes_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FIRST_BUDGET_S, 0.0)
    package = put(tmp_path, "iris", "1", IRIS)
    put(tmp_path, "other", "1", ONE)
    async with running(tmp_path, compile="auto") as system:
        await until(lambda: system.registry.reached, "the models to be ready")
        servable = system.registry.servable("iris", None)
        await until(lambda: servable.form.retry_at is not None, "compiling to run out of time")
        assert _loading() >= 1
        package.rename(tmp_path / ".gone")
        await until(lambda: status(system, "iris")[0] is None, "the version to be gone")
        other = system.registry.servable("other", None)
        await until(lambda: other.report is not None, "the other search to end")
        await until(lambda: _loading() == (other.form.retry_at is not None), "nobody to wait for the one that went")
