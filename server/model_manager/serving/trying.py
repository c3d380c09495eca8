"""Try a version in a child process, in its turn and within limits, and say in words how the child ended.

In the flow: loader → **trying** → nursery → child.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeVar

import msgspec

from model_manager.cpus import allowed_cpus
from model_manager.errors import LoadFailed
from model_manager.repository.wanted import ServableId
from model_manager.serving.child import JUDGE, Message, Refused, Serving, Step, Task, Verdict
from model_manager.serving.child_keeper import Ended
from model_manager.serving.confinement import Limits
from model_manager.serving.isolated_child import PREDICT, Isolating
from model_manager.serving.memory_left import memory_left
from model_manager.serving.nursery import Child, Garbled, Nursery
from model_manager.serving.turns import Turns
from model_manager.settings import Settings

logger = logging.getLogger(__name__)

_V = TypeVar("_V", bound=Verdict)

_KILLED_S: Final = 5.0
_COMPILING_PATIENCE_S: Final = 30.0
_CPU_PER_BUDGET: Final = 3
_LEAST_FILE_BYTES: Final = 256 << 20
_LONGEST_LINE: Final = 2000
_UNHARMED: Final = "in a child process: nothing else was harmed"


@dataclass(frozen=True, slots=True)
class Children:
    """Where versions are tried, how many at once, and what each may take: see the settings `load_…`.

    No limit of memory is given where it is None: it is what is left then.
    """

    nursery: Nursery
    proving: Turns
    compiling: Turns
    timeout_s: float
    cpu_s: int
    memory_mb: int | None

    @classmethod
    def from_settings(cls, settings: Settings, nursery: Nursery) -> "Children":
        """As many at once as there are processors to prove in; one to compile in, since nobody waits for that."""
        return cls(
            nursery,
            proving=Turns(allowed_cpus()),
            compiling=Turns(1, patience_s=_COMPILING_PATIENCE_S),
            timeout_s=settings.load_timeout_s,
            cpu_s=settings.load_cpu_s,
            memory_mb=settings.load_memory_mb,
        )

    @asynccontextmanager
    async def trial(
        self, id: ServableId, task: Task, artifact: BinaryIO, kind: type[_V]
    ) -> AsyncIterator[tuple[_V, "Trial"]]:
        """Give a task and an open artifact to a child, and what it finds first, which is of this kind, to the body.

        After the body the child has ended. Raises LoadFailed where it refuses, dies, hangs or writes nonsense.
        Cancellation kills it. What it wrote is logged.
        """
        compile_s = task.compile_s or 0.0
        async with AsyncExitStack() as stack:
            async with (self.proving if task.compile_s is None else self.compiling).turn() as turn:
                own, limits = await self._opened(artifact, compile_s)
                stack.callback(os.close, own)
                child = await self._start(stack, JUDGE, (own,), limits)
                stack.push_async_callback(_log_output, child, id, "while it was tried")
                turn.when_slow = child.slow
                if task.compile_s is not None:
                    child.slow()  # nobody waits for it
                child.tell(msgspec.msgpack.encode(task))
                # compiling is given CPU time, of which a busy machine has little to spare
                trial = Trial(child, limits, self.timeout_s + 10 * compile_s)
                found = await trial.hear(kind)
            yield found, trial

    @asynccontextmanager
    async def isolated(
        self, id: ServableId, task: Isolating, artifact: BinaryIO, files: tuple[int, int]
    ) -> AsyncIterator[tuple[Serving, Child, Limits]]:
        """Have a child answer, over the line and by the memory whose descriptors are `files`, while the body runs.

        It is given as much memory as one that is only tried, all the CPU time it takes, and the server's own priority.
        One that is proven in it waits for its turn; one that takes another's place does not. Raises as `trial` does.
        """
        async with AsyncExitStack() as stack:
            async with self.proving.turn() if task.signature is None else nullcontext():
                own, limits = await self._opened(artifact, 0.0)
                limits = msgspec.structs.replace(limits, cpu_s=None, niceness=0)
                try:
                    child = await self._start(stack, PREDICT, (own, *files), limits)
                finally:
                    os.close(own)
                stack.push_async_callback(_log_output, child, id, "in its process")
                child.tell(msgspec.msgpack.encode(task))
                found = await Trial(child, limits, self.timeout_s).hear(Serving)
            yield found, child, limits

    async def _start(self, stack: AsyncExitStack, function: str, fds: Sequence[int], limits: Limits) -> Child:
        try:
            return await stack.enter_async_context(self.nursery.child(function, fds=fds, limits=limits))
        except OSError as error:
            raise LoadFailed("internal", f"no child process can be started: {error.strerror}") from error

    async def _opened(self, artifact: BinaryIO, compile_s: float) -> tuple[int, Limits]:
        """See _for_child; cancelled meanwhile, the file is closed as soon as it is open."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._for_child, artifact, compile_s))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_opened)
            raise

    def _for_child(self, artifact: BinaryIO, compile_s: float) -> tuple[int, Limits]:
        """Open the same file once more, since where a child reads must not be where the server does; and limit it."""
        own = os.open(f"/proc/self/fd/{artifact.fileno()}", os.O_RDONLY)
        memory = memory_left() if self.memory_mb is None else self.memory_mb << 20
        file_bytes = max(_LEAST_FILE_BYTES, 4 * os.fstat(own).st_size)
        return own, Limits(memory, self.cpu_s + round(_CPU_PER_BUDGET * compile_s), file_bytes)


def _close_opened(opening: asyncio.Future[tuple[int, Limits]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result()[0])


class Trial:
    """A version in a child, as the loader sees it: what was found so far, and what comes next."""

    def __init__(self, child: Child, limits: Limits, timeout_s: float) -> None:
        self._child = child
        self._limits = limits
        self._timeout_s = timeout_s
        self._step = "starting it"

    async def hear(self, kind: type[_V]) -> _V:
        """Wait for what the child finds next, which is of this kind. Raises LoadFailed, see Children.trial."""
        try:
            async with asyncio.timeout(self._timeout_s):
                while (heard := await self._child.hear()) is not None:
                    message: Message = msgspec.msgpack.decode(heard, type=Message)
                    if isinstance(message, Step):
                        self._step = message.name
                    elif isinstance(message, Refused):
                        raise LoadFailed(message.reason, _with_limit(message.message, self._limits))
                    elif isinstance(message, kind):
                        return message
                    else:
                        raise Garbled
                end = end_of(await self._child.ended(), self._limits)
                raise LoadFailed("ended_process", f"{self._step} {end} ({_UNHARMED})")
        except TimeoutError:
            what = f"{self._step} did not return within {self._timeout_s:g} s and was stopped ({_UNHARMED}); "
            raise LoadFailed("timeout", f"{what}where that is too little, raise --load-timeout-s") from None
        except (Garbled, msgspec.DecodeError):
            what = f"{self._step} wrote to files that it did not open ({_UNHARMED})"
            raise LoadFailed("ended_process", what) from None


def _with_limit(message: str, limits: Limits) -> str:
    if "MemoryError" not in message or limits.memory_bytes is None:
        return message
    return f"{message} (it may take {limits.memory_bytes >> 20} MiB: --load-memory-mb)"


def end_of(ended: Ended | None, limits: Limits) -> str:
    """Say what a process did that ended without a verdict."""
    if ended is None:
        return "ended the process that watched over it"
    if not os.WIFSIGNALED(ended.status):
        return f"ended the process with exit code {os.waitstatus_to_exitcode(ended.status)}"
    number = os.WTERMSIG(ended.status)
    name = signal.Signals(number).name if number in signal.valid_signals() and number < signal.SIGRTMIN else str(number)
    if number == signal.SIGXCPU:
        return f"took more than {limits.cpu_s} s of CPU time ({name}; --load-cpu-s)"
    why = ", as the kernel does when memory runs out" if number == signal.SIGKILL else ""
    return f"ended the process with {name}{why}"


async def _log_output(child: Child, id: ServableId, when: str) -> None:
    """Log what a child wrote, once it has ended, which it is made to."""
    child.kill()
    try:
        async with asyncio.timeout(_KILLED_S):
            ended = await child.ended()
    except TimeoutError:  # it is in the kernel's hands
        return
    if ended is None or not ended.output_bytes:
        return
    text = ended.output.decode(errors="replace").strip()
    if len(text) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        text = f"{text[:half]} [...] {text[-half:]}"
    fields = {"model_name": id.model, "model_version": id.version, "bytes": ended.output_bytes}
    logger.info("%s wrote %s: %s", id, when, " | ".join(text.split("\n")), extra=fields)
