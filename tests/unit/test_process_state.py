"""server/model_manager/serving/process_state.py: what model code changes of the process is put back, and told."""

import asyncio
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from blockbuster import BlockBuster
from model_manager.metrics.recording import Metrics
from model_manager.serving import process_state
from model_manager.serving.process_state import ProcessState

from tests.scrape import samples_of, written
from tools.patience import until


def lower_a_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


def redirect_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def silence_our_logger() -> None:
    logging.getLogger("model_manager.serving.manager").disabled = True


CHANGES: dict[str, tuple[str, Callable[[], Any]]] = {
    "SIGTERM": ("signal handlers", lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)),
    "SIGCHLD": ("signal handlers", lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)),
    "signal mask": ("signal mask", lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})),
    "wakeup": ("wakeup of signals", lambda: signal.set_wakeup_fd(-1)),
    "umask": ("umask", lambda: os.umask(0o007)),
    "chdir": ("working folder", lambda: os.chdir("/")),
    "level": ("logging", lambda: logging.getLogger().setLevel(logging.CRITICAL)),
    "handlers": ("logging", lambda: logging.getLogger().handlers.clear()),
    "disable": ("logging", lambda: logging.disable(logging.CRITICAL)),
    "our logger": ("logging", silence_our_logger),
    "warnings": ("warning filters", lambda: warnings.simplefilter("error", ResourceWarning)),
    "stdout": ("standard streams", lambda: setattr(sys, "stdout", None)),
    "descriptor": ("standard files", redirect_output),
    "closed": ("standard files", lambda: os.close(1)),
    "excepthook": ("exception hooks", lambda: setattr(threading, "excepthook", print)),
    "locale": ("locale", lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8")),
    "environment": ("environment", lambda: os.environ.pop("HOME")),
    "recursion": ("recursion limit", lambda: sys.setrecursionlimit(50_000)),
    "switch": ("switch interval", lambda: sys.setswitchinterval(1.0)),
    "collection": ("garbage collection", gc.disable),
    "limit": ("resource limits", lower_a_limit),
    "sockets": ("socket timeout", lambda: socket.setdefaulttimeout(1e-9)),
}


@pytest.fixture(autouse=True)
def quick_calls(no_blocking_calls: BlockBuster) -> None:
    """Let the loop ask where it is, and go there: that waits for nothing."""
    for name in ("os.getcwd", "os.stat"):
        no_blocking_calls.functions[name].deactivate()


def changes(metrics: Metrics) -> dict[str, float]:
    """The changes that were counted, by what was changed."""
    return {
        sample.labels["what"]: sample.value
        for sample in samples_of(written(metrics.families()))
        if "process_changes" in sample.name
    }


@pytest.fixture
def c_locale() -> Iterator[None]:
    """Another locale than the one that a change sets; the tests' own comes back."""
    before = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C")
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("c_locale")
async def test_a_change_is_put_back_counted_and_its_culprit_named(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    what, make = CHANGES[change]
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)
    state = ProcessState(metrics, lambda since: "iris/1")
    async with state.keeping():
        kept = {part.name: part for part in state._kept}
        before = kept[what].read()
        state.check("nobody")
        assert changes(metrics) == {}
        make()
        state.check()
        assert changes(metrics) == {what: 1}
        assert kept[what].read() == before
    (told,) = [record for record in caplog.records if "model code changed" in record.message]
    assert told.message == f"model code changed the {what} of the process, which was put back: iris/1"


async def test_the_process_is_looked_at_again_and_again(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_state, "BEAT_S", 0.01)
    async with ProcessState(metrics, lambda since: "iris/1").keeping():
        os.umask(0o007)
        await until(lambda: changes(metrics) == {"umask": 1}, "the next beat")
        os.umask(0o007)
        await until(lambda: changes(metrics) == {"umask": 2}, "the beat after it")


async def test_a_step_of_a_load_names_its_version(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    state = ProcessState(metrics, lambda since: "others")
    state.check("iris/2, while it was loaded")  # nothing is kept yet
    async with state.keeping():
        os.umask(0o007)
        state.check("iris/2, while it was loaded")
    (told,) = [record for record in caplog.records if "umask" in record.message]
    assert told.message.endswith("put back: iris/2, while it was loaded")


async def test_what_cannot_be_put_back_is_told_once(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    state = ProcessState(metrics, lambda since: "iris/1")
    async with state.keeping():
        (part,) = [part for part in state._kept if part.name == "switch interval"]
        part.write, part.value = id, 0.5
        state.check()
        state.check()
    (told,) = [record for record in caplog.records if "switch interval" in record.message]
    assert "cannot be put back" in told.message


def test_filters_that_are_all_gone_come_back_and_nobody_is_blamed() -> None:
    """Two threads that leave `catch_warnings` in the wrong order leave an empty list behind."""
    metrics = Metrics()
    state, before = ProcessState(metrics, lambda since: "somebody"), [*warnings.filters]
    assert before
    with warnings.catch_warnings():
        warnings.filters[:] = []  # type: ignore[index]
        state.check()
        assert list(warnings.filters) == before
    assert changes(metrics) == {}
