"""The predictor of a version whose manifest says `isolation: process`: it asks a process in which the estimator is.

In the flow: batch, on a prediction thread → **isolated predictor** → shared memory → isolated child. The server never
unpickles the version. A process that ends, or hangs and is ended, fails the prediction it was computing, and another
takes its place, which reads the artifact again.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from time import monotonic
from typing import BinaryIO, Final

from model_manager.errors import LoadFailed, PredictionFailed
from model_manager.repository.wanted import ServableId
from model_manager.serving.child import Serving
from model_manager.serving.giving_up import ProcessLost, overdue_after_s
from model_manager.serving.isolated_child import PACKET, Isolating
from model_manager.serving.proving import Reading
from model_manager.serving.shared_memory import Garbled, SharedMemory
from model_manager.serving.trying import Children, end_of
from model_manager.signature import Array, Output, Rows, Signature

logger = logging.getLogger(__name__)

_LASTING_S: Final = 60.0
_LONGEST_BACKOFF_S: Final = 30.0
_RETRY_S: Final = 0.1


class _Gone(Exception):
    """The process had ended before it was asked."""


class IsolatedPredictor:
    """Asks a process of its own, and keeps one there. Made and closed on the event loop; `predict` is for threads.

    `timeout_s` is the version's: how long a prediction waits for a process that is being started again. `ended`, to be
    set, is called on the event loop with how each process ended, and whether no prediction was blamed for it.
    """

    form = "process"

    def __init__(
        self, id: ServableId, children: Children, reading: Reading, artifact: BinaryIO, *, timeout_s: float
    ) -> None:
        """`artifact` is kept, by a descriptor of its own, for the processes to come."""
        self._id = id
        self._children = children
        self._reading = reading
        self._artifact = os.fdopen(os.dup(artifact.fileno()), "rb", buffering=0)
        self._identity = _identity(self._artifact)
        self._timeout_s = timeout_s
        self._signature: Signature | None = None
        self._offered: dict[str, Output] = {}
        self._process: _Process | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self.ended: Callable[[str, bool], None] = lambda how, idle: None

    @property
    def signature(self) -> Signature:
        """What rows must look like, and which outputs can be asked for."""
        assert self._signature is not None, "it was started"
        return self._signature

    async def start(self) -> Serving:
        """Start the first process, and keep one there until this is closed; what the first says of the version.

        Raises LoadFailed. Cancellation closes it.
        """
        loop = asyncio.get_running_loop()
        started: asyncio.Future[Serving] = loop.create_future()
        self._task = loop.create_task(self._keep(started), name=f"process of {self._id}")
        try:
            return await started
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Kill the process, and start no other. A prediction that runs fails."""
        self._closed = True
        self.ended = lambda how, idle: None
        if self._task is not None:
            self._task.cancel()

    def predict(self, rows: Rows, outputs: tuple[str, ...]) -> dict[str, Array]:
        """Ask the process. Raises PredictionFailed, ProcessLost where that ends over it."""
        offered = [self._offered[name] for name in outputs]
        until = 0.0
        while True:
            process = self._process
            if process is None:
                until = until or monotonic() + self._timeout_s
                process = self._next_process(until)
            try:
                return process.predict(rows, offered)
            except _Gone:
                self._forget(process)

    def _next_process(self, until: float) -> "_Process":
        """Wait for the process that takes the place of one that ended."""
        with self._changed:
            while self._process is None:
                left = until - monotonic()
                if left <= 0 or self._closed:
                    raise PredictionFailed("the process of this model is being started again")
                self._changed.wait(left)
            return self._process

    def _forget(self, process: "_Process") -> None:
        with self._changed:
            if self._process is process:
                self._process = None

    async def _keep(self, started: asyncio.Future[Serving]) -> None:
        """Keep a process there until cancelled, or until the first cannot be started."""
        deaths, fields = 0, {"model_name": self._id.model, "model_version": self._id.version}
        try:
            while True:
                began = monotonic()
                idle = True
                try:
                    how, idle = await self._run(started)
                except (LoadFailed, OSError) as error:
                    if not started.done():
                        started.set_exception(error)
                        return
                    how = f"could not be started again: {error}"
                logger.error("%s: it %s; another process takes its place", self._id, how, extra=fields)
                self.ended(how, idle)
                deaths = 1 if monotonic() - began >= _LASTING_S else deaths + 1
                if deaths > 1:
                    await asyncio.sleep(min(_LONGEST_BACKOFF_S, _RETRY_S * 2.0 ** (deaths - 2)))
        finally:
            self._artifact.close()
            started.cancel()
            with self._changed:
                self._changed.notify_all()

    async def _run(self, started: asyncio.Future[Serving]) -> tuple[str, bool]:
        """Run one process to its end; how, and whether nobody is blamed. Raises LoadFailed and OSError."""
        if _identity(self._artifact) != self._identity:
            raise LoadFailed("digest_mismatch", "its artifact was written into")
        async with AsyncExitStack() as stack:
            process = _Process(overdue_after_s(self._timeout_s))
            stack.callback(process.end)
            with process.other_end:
                found, child, limits = await stack.enter_async_context(
                    self._children.isolated(
                        self._id, Isolating(self._reading, self._signature), self._artifact, process.files
                    )
                )
            process.kill = _on_the_loop(child.kill)
            if not started.done():
                self._signature = found.signature
                self._offered = {output.name: output for output in found.signature.offered}
                started.set_result(found)
            with self._changed:
                self._process = process
                self._changed.notify_all()
            try:
                how = end_of(await child.ended(), limits)
            finally:
                self._forget(process)
                blamed = process.end()
            return how, not blamed


class _Process:
    """One process that answers, as the threads that ask it see it: a line, memory, and one batch at a time.

    After `overdue_s` without an answer it is killed.
    """

    def __init__(self, overdue_s: float) -> None:
        self._line, self.other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._memory = SharedMemory.create()
        self._line.settimeout(overdue_s)
        self._lock = threading.Lock()
        self._number = 0
        self._busy = self._blamed = self._ended = self._released = False
        self.kill: Callable[[], None] = lambda: None

    @property
    def files(self) -> tuple[int, int]:
        """What the other side is given: its end of the line, and the memory."""
        return self.other_end.fileno(), self._memory.file

    def end(self) -> bool:
        """Wake a thread that waits, and let go of everything, as soon as no thread uses it.

        Returns whether a prediction is to blame for the end.
        """
        with self._lock:
            self._ended = True
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            self._release()
            return self._blamed or self._busy

    def predict(self, rows: Rows, outputs: list[Output]) -> dict[str, Array]:
        """Ask for one batch. Raises PredictionFailed, ProcessLost and _Gone."""
        with self._lock:
            if self._ended:
                raise _Gone
            self._busy = True
        try:
            return self._ask(rows, outputs)
        finally:
            with self._lock:
                self._busy = False
                self._release()

    def _ask(self, rows: Rows, outputs: list[Output]) -> dict[str, Array]:
        self._number += 1
        place = self._memory.write_rows(rows, tuple([output.name for output in outputs]))
        try:
            self._line.send(PACKET.pack(self._number, *place))
        except OSError:  # nobody is at the other end: nobody has begun
            raise _Gone from None
        try:
            heard = self._line.recv(PACKET.size + 1)
        except TimeoutError:
            raise self._lose("did not answer and was ended", hung=True) from None
        except OSError:  # reset: it ended before it had taken what it was sent
            raise _Gone from None
        if not heard:
            raise self._lose("ended")
        try:
            if len(heard) != PACKET.size:
                raise Garbled("it wrote to files that it did not open")
            number, at, length = PACKET.unpack(heard)
            if number != self._number:
                raise Garbled("it answered what it was not asked")
            return self._memory.read_answers((at, length), len(rows), outputs)
        except Garbled as error:
            raise self._lose(f"was ended: {error}") from error
        finally:
            self._memory.tidy()

    def _lose(self, how: str, *, hung: bool = False) -> ProcessLost:
        """Let this process answer nothing any more."""
        with self._lock:
            self._blamed = self._ended = True
        self.kill()
        return ProcessLost(how, hung=hung)

    def _release(self) -> None:
        if self._ended and not self._busy and not self._released:
            self._released = True
            self._line.close()
            self._memory.close()


def _on_the_loop(call: Callable[[], None]) -> Callable[[], None]:
    loop = asyncio.get_running_loop()

    def from_a_thread() -> None:
        with suppress(RuntimeError):  # the loop is closed, and the process gone
            loop.call_soon_threadsafe(call)

    return from_a_thread


def _identity(file: BinaryIO) -> tuple[int, ...]:
    """What changes when somebody writes into a file in place."""
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
