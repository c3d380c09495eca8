"""One of several server processes: it serves the shared API socket, and answers its supervisor over a Unix socket.

In the flow: supervisor → **worker** → process.serve. A worker that takes the place of one that died does not accept
connections until every version it is to serve is ready or has failed, so the others answer while it loads.
"""

import asyncio
import faulthandler
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np

from model_manager.drift import Tally
from model_manager.event_loop import event_loop
from model_manager.feedback import AccuracyTally, Label, Status
from model_manager.ledger import GoodState
from model_manager.logs import configure_logging
from model_manager.metrics import Family
from model_manager.process import leave, nursery_for, serve
from model_manager.serving.attempt import Attempt
from model_manager.serving.attribution import Attribution
from model_manager.serving.index import IndexRow
from model_manager.serving.inspection import Inspection, Topic
from model_manager.serving.profile import Profile
from model_manager.serving.quarantine import Quarantine
from model_manager.serving.shared_copies import SharedCopies
from model_manager.serving.system import System
from model_manager.settings import Settings, wants_colours

T = TypeVar("T")

STOPPING: Final = "stopping"
"""A file beside the sockets that says to the workers that all of them stop."""
_LONGEST_QUESTION: Final = 1 << 30  # as many labels as one request may bring
_ANSWER_S: Final = 5.0


class Question(msgspec.Struct):
    """What the supervisor, or another worker, asks a worker.

    `seconds` is for a profile, the others for what is asked of one model.
    """

    about: (
        Literal["readiness", "metrics", "index", "last good", "load", "unload", "drift", "drift counts", "profiles"]
        | Literal["attempt", "accuracy", "labels"]
        | Topic
    )
    seconds: float = 0.0
    model: str = ""
    version: str = ""
    body: str = ""
    labels: list[Label] = []


Answer: TypeAlias = (
    str
    | bool
    | list[Family]
    | list[IndexRow]
    | list[GoodState]
    | list[Tally]
    | list[Profile]
    | Attempt
    | list[AccuracyTally]
    | list[Status]
    | list[Inspection]
)
"""Why there should be no traffic, or what was asked for."""


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker process is started with.

    `state` is the folder of the quarantine, `report` the Unix socket to answer on. `replaces`: others serve meanwhile.
    """

    number: int
    settings: Settings
    state: Path
    report: Path
    replaces: bool


def work(post: Post, api: socket.socket, supervisor: int, copies: socket.socket) -> int:
    """What a worker process does from start to end; its exit code.

    It serves on `api`, for as long as `supervisor` is open at its other end, and shares models over `copies`.
    """
    faulthandler.enable()  # a crash in native code, or a supervisor that loses patience, names the Python code
    np.random.seed()  # workers are forked from one process and must not draw the same numbers
    settings = post.settings
    configure_logging(
        format=settings.log_format,
        level=settings.log_level,
        model_errors=settings.log_model_errors,
        colours=wants_colours(),
    )
    post.report.unlink(missing_ok=True)  # left by a worker that died
    with nursery_for(settings) as nursery, event_loop() as runner:
        attribution = Attribution(Quarantine(post.state), worker=post.number)
        system = System(settings, attribution, nursery, SharedCopies(copies))
        system.labelling.beside = partial(_ask_others, post)
        code = runner.run(_serve_and_report(system, post, api, supervisor))
    leave(code, system.unfinished)
    return code


async def ask(path: Path, question: Question, kind: type[T], *, limit_s: float) -> T:
    """Ask the worker that listens at `path`.

    Raises OSError (which TimeoutError is) or msgspec.DecodeError when it does not answer in time, or not to the point.
    """
    async with asyncio.timeout(limit_s + question.seconds):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(msgspec.json.encode(question) + b"\n")
            return msgspec.msgpack.decode(await reader.read(), type=kind)
        finally:
            writer.close()


async def start_answering(system: System, path: Path) -> asyncio.Server:
    """Answer a supervisor's questions about this process on a Unix socket, until the server that is given back ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the supervisor waits no longer
            question = msgspec.json.decode(await reader.readline(), type=Question)
            writer.write(msgspec.msgpack.encode(await _answer(system, question)))
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, path, limit=_LONGEST_QUESTION)


async def _answer(system: System, question: Question) -> Answer:
    if question.about == "readiness":
        return await system.waiting_for()
    if question.about == "metrics":
        return list(await system.current_metrics())
    if question.about == "index":
        return await system.index()
    if question.about == "load" or question.about == "unload":
        return await (system.load if question.about == "load" else system.unload)(question.model)
    if question.about == "last good":
        return await system.last_good()
    if question.about == "drift":
        return await system.drift()
    if question.about == "drift counts":
        return await system.drift(named=False)
    if question.about == "profiles":
        return await system.profiles(question.model)
    if question.about == "attempt":
        return await system.attempt(question.model, question.version, question.body)
    if question.about == "accuracy":
        return await system.accuracy()
    if question.about == "labels":
        return await system.join(question.model, question.labels)
    return await system.inspect(question.about, question.seconds)


async def _ask_others(post: Post, model: str, labels: list[Label]) -> tuple[list[list[Status]], int]:
    """What became of labels in the other workers, and how many of those did not say."""
    others = [number for number in range(post.settings.workers) if number != post.number]
    question = Question("labels", model=model, labels=labels)
    asking = [
        ask(post.report.with_name(f"worker-{number}.sock"), question, list[Status], limit_s=_ANSWER_S)
        for number in others
    ]
    answers = [
        one for one in await asyncio.gather(*asking, return_exceptions=True) if not isinstance(one, BaseException)
    ]
    answers = [one for one in answers if len(one) == len(labels)]
    return answers, len(others) - len(answers)


async def _serve_and_report(system: System, post: Post, api: socket.socket, supervisor: int) -> int:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(supervisor)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(supervisor, stop)  # a worker without its supervisor would serve on a port that nobody watches
    async with await start_answering(system, post.report):
        return await serve(system, api, None, last=post.report.with_name(STOPPING).exists, replaces=post.replaces)
