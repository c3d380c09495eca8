"""Children of this server: processes that run one function each, which they may crash, hang or be killed in.

In the flow: trying → **nursery** → nursery process → keeper → child. The nursery process is forked before the server
has a thread or an event loop, so that children come into being in milliseconds, with everything imported.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, Self

import msgspec

from model_manager.serving.child_keeper import NICEST, Ended, Order, run_nursery
from model_manager.serving.confinement import Limits

_LARGEST_MESSAGE: Final = 64 << 20
_PART: Final = 1 << 16
_CLOSING_S: Final = 1.0
_PAUSE_S: Final = 0.01


class Garbled(Exception):
    """A child wrote what is no message."""


class Child:
    """A process that runs a function, as the server sees it: messages to and fro, and how it ended."""

    def __init__(
        self,
        talk: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        watch: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._reader, self._writer = talk
        self._watched, self._watching = watch
        self._ended = asyncio.create_task(_all_of(self._watched))

    def tell(self, message: bytes) -> None:
        """Send a message; one that has ended does not get it."""
        if not self._writer.is_closing():
            self._writer.write(len(message).to_bytes(4, "big") + message)

    async def hear(self) -> bytes | None:
        """Receive the next message; None when there will be no more. Raises Garbled."""
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            if length > _LARGEST_MESSAGE:
                raise Garbled
            return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def ended(self) -> Ended | None:
        """How it ended, once it has; None where its keeper was killed with it."""
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.msgpack.decode(await asyncio.shield(self._ended), type=Ended)
        return None

    def slow(self) -> None:
        """Let it take no more than nobody else wants, from now on."""
        if not self._watching.is_closing():
            self._watching.write(NICEST)

    def kill(self) -> None:
        """Kill it, and all that it has started. `ended` tells how, a moment later."""
        if not self._watching.is_closing():
            self._watching.write_eof()

    def close(self) -> None:
        """Let go of it: its keeper kills what is left."""
        self._ended.cancel()
        for writer in (self._writer, self._watching):
            writer.transport.abort()


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes. Whoever closes with something unread resets the line, which takes back nothing that was said."""
    said = b""
    with suppress(OSError):
        while part := await reader.read(_PART):
            said += part
    return said


class Nursery:
    """Starts children. One for each server process; used from its event loop."""

    def __init__(self, control: socket.socket, process: int, prepare: str) -> None:
        """`process` is the nursery process, `prepare` what each one calls first; see run_nursery."""
        control.setblocking(False)
        self._control = control
        self._process = process
        self._prepare = prepare
        self._replacing = asyncio.Lock()

    @classmethod
    @contextmanager
    def forked(cls, prepare: str) -> Iterator[Self]:
        """Fork a nursery process, for as long as the body runs. The caller's process must have no threads yet."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or both would write what waits
        process = os.fork()
        if process == 0:
            try:
                os.closerange(3, theirs.fileno())
                os.closerange(theirs.fileno() + 1, 1 << 20)
                run_nursery(theirs, prepare)
            finally:
                os._exit(1)
        theirs.close()
        nursery = cls(ours, process, prepare)
        try:
            yield nursery
        finally:
            nursery.close()

    @asynccontextmanager
    async def child(self, function: str, *, fds: Sequence[int] = (), limits: Limits) -> AsyncIterator[Child]:
        """Run "module:name" in a child, with a socket to talk by and these files; it is killed after the body.

        The function is called with the number of the socket and those of the files. Raises OSError when no process
        can be started.
        """
        watch, watched = socket.socketpair()
        talk, talked = socket.socketpair()
        try:
            with watched, talked:
                order = msgspec.msgpack.encode(Order(function, limits))
                await self._send(order, [watched.fileno(), talked.fileno(), *fds])
            watching = await asyncio.open_unix_connection(sock=watch)
        except BaseException:
            watch.close()
            talk.close()
            raise
        try:
            child = Child(await asyncio.open_unix_connection(sock=talk, limit=1 << 20), watching)
        except BaseException:  # cancelled
            watching[1].transport.abort()
            talk.close()
            raise
        try:
            yield child
        finally:
            child.close()

    def close(self) -> None:
        """End the nursery process, and with it every child."""
        self._control.close()
        deadline = time.monotonic() + _CLOSING_S
        with suppress(ChildProcessError):
            while os.waitpid(self._process, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(self._process, signal.SIGKILL)
                time.sleep(_PAUSE_S)

    async def _send(self, order: bytes, fds: Sequence[int]) -> None:
        while True:
            control = self._control
            try:
                socket.send_fds(control, [order], list(fds))
                return
            except BlockingIOError:  # it is being started, or its machine is busy
                await asyncio.sleep(_PAUSE_S)
            except (BrokenPipeError, ConnectionResetError):
                async with self._replacing:
                    if control is self._control:
                        await asyncio.to_thread(self._replace)

    def _replace(self) -> None:
        """Start another nursery process in place of one that died; a fork would copy locks that threads hold."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = [str(theirs.fileno()), json.dumps(sys.path), self._prepare]
            command = [sys.executable, "-c", "from model_manager.serving.child_keeper import main; main()", *arguments]
            started = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        with suppress(ChildProcessError):
            os.waitpid(self._process, os.WNOHANG)
        started.returncode = 0  # it is waited for here, by its number
        self._control.close()
        ours.setblocking(False)
        self._control, self._process = ours, started.pid
