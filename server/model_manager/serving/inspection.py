"""What a process is doing now, for a person at a debugger's distance: tasks, queues, the last batches, a profile.

In the flow: `GET /debug/…` on the admin port → **inspection** of this process, or of every worker. No payload is shown.
"""

import asyncio
import os
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Final, Literal, TypeAlias, cast

from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable

Topic = Literal["tasks", "queues", "batches", "profile"]
Inspection: TypeAlias = dict[str, Any]

_PERIOD_S: Final = 0.005
_ROOT: Final = str(Path(__file__).parents[2]) + os.sep


async def inspect(registry: Registry, topic: Topic, seconds: float) -> Inspection:
    """Look at one topic of this process; `seconds` is how long a profile samples. Plain values, fit for JSON."""
    looks: dict[Topic, Callable[[], Awaitable[Any]]] = {
        "tasks": _tasks,
        "queues": lambda: _queues(registry),
        "batches": lambda: _batches(registry),
        "profile": lambda: asyncio.to_thread(_profile, seconds),
    }
    return {"pid": os.getpid(), topic: await looks[topic]()}


async def _tasks() -> list[Inspection]:
    """Every task of the event loop, and the line at which it waits."""
    tasks = []
    for task in asyncio.all_tasks():
        stack = task.get_stack(limit=1)
        at = _place(stack[-1], stack[-1].f_lineno) if stack else "running"
        tasks.append({"name": task.get_name(), "coroutine": getattr(task.get_coro(), "__qualname__", "?"), "at": at})
    return sorted(tasks, key=lambda task: (task["coroutine"], task["name"]))


async def _queues(registry: Registry) -> list[Inspection]:
    """Every ready version: what waits, what runs, who holds it."""
    return [
        {
            "model_name": servable.id.model,
            "model_version": servable.id.version,
            "requests_in_flight": servable.leases,
            "queued_requests": servable.batcher.queued_requests,
            "queued_rows": servable.batcher.queued_rows,
            "queue_limit_rows": servable.batcher.limit_rows,
            "running_rows": servable.batcher.running_rows,
        }
        for servable in _ready(registry)
    ]


async def _batches(registry: Registry) -> list[Inspection]:
    """The last batches of every ready version, the newest first; `ended` in Unix time."""
    batches = [
        {"model_name": servable.id.model, "model_version": servable.id.version, **batch._asdict()}
        for servable in _ready(registry)
        for batch in servable.batcher.recent
    ]
    return sorted(batches, key=lambda batch: cast(float, batch["ended"]), reverse=True)


def _ready(registry: Registry) -> Iterator[Servable]:
    for _, view in sorted(registry.models.items()):
        yield from view.ready.values()


def _profile(seconds: float) -> Inspection:
    """Sample the stacks of all threads two hundred times a second. Runs on a thread of its own; blocks for `seconds`.

    `stacks` counts each stack, outermost call first, in the collapsed form that flame graph tools read.
    """
    stacks: Counter[str] = Counter()
    samples, pause, end = 0, threading.Event(), perf_counter() + seconds
    while perf_counter() < end:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != threading.get_ident():
                stacks[";".join([names.get(ident, "thread"), *_calls(frame)])] += 1
        samples += 1
        pause.wait(_PERIOD_S)
    return {"seconds": seconds, "samples": samples, "stacks": dict(stacks.most_common())}


def _calls(frame: FrameType | None) -> list[str]:
    calls = []
    while frame is not None:
        calls.append(f"{frame.f_code.co_qualname} ({_place(frame, frame.f_code.co_firstlineno)})")
        frame = frame.f_back
    return calls[::-1]


def _place(frame: FrameType, line: int) -> str:
    """File and line: below this program's own folder, or from the package on."""
    path = frame.f_code.co_filename.removeprefix(_ROOT)
    return f"{path.partition('site-packages' + os.sep)[2] or path}:{line}"
