"""The process that workers are forked from: it has imported everything, and does nothing that a fork would not survive.

In the flow: supervisor → keeper → **template** → worker. On Linux it is forked from the supervisor before that has a
thread, an event loop or a socket, so what was imported lies in memory once, for the supervisor, for this and for every
worker; elsewhere, and where one died, it is a new interpreter. Between an order and the next it waits; it has no
threads, opens no sessions and runs no model's code but, once and before it is forked, that of a small one of ours,
which spares each worker 6 MB of what libraries remember; so the fork of a worker is as good the hundredth time.

It also keeps the copies of models that its workers share (copies_kept.py), since it outlives each of them.
"""

import asyncio
import gc
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from struct import Struct
from threading import Lock
from time import monotonic, sleep
from typing import Final, NoReturn, Self

from model_manager.copies_kept import CopiesKept
from model_manager.inference.threads import limit_native_threads
from model_manager.serving.child_keeper import ended_child, wake_on_child
from model_manager.serving.confinement import default_signals
from model_manager.serving.proving import warm_up
from model_manager.worker import Post, work

_WORKERS_IMPORT: Final = (
    *("anyio._backends._asyncio", "anyio.streams.memory", "uvicorn.lifespan.on", "uvloop"),  # to serve
    *("onnxruntime", "onnx"),  # to build faster forms
)
"""What each worker would import for itself, later; where it is installed."""
_NUMBER: Final = Struct("<q")
_LENGTH: Final = Struct("<I")
_FDS: Final = 3
_CLOSING_S: Final = 5.0
_PAUSE_S: Final = 0.01
_LOST: Final = 255
"""The exit code of a process of which nobody can say how it ended."""


class Forked:
    """A worker process that a template forked, as its keeper sees it."""

    def __init__(self, pid: int, status: int, alive: int) -> None:
        """`status` tells how it ends, to whoever reads; it ends itself when `alive` is closed."""
        self.pid = pid
        self.exitcode: int | None = None if pid else _LOST
        self._status = status
        self._alive: int | None = alive

    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self.exitcode is None

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def abort(self) -> None:
        """Make it write down where it is, and end."""
        self._signal(signal.SIGABRT)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait for its end, without a thread; its exit code, or the number of the signal that ended it, negative.

        Where its template was killed, that is an end as well, with code 255: it may live, until it is let go of.
        """
        if self.exitcode is None:
            told, loop = asyncio.Event(), asyncio.get_running_loop()
            loop.add_reader(self._status, told.set)
            try:
                await told.wait()
            finally:
                loop.remove_reader(self._status)
            said = os.read(self._status, _NUMBER.size)
            self.exitcode = _NUMBER.unpack(said)[0] if len(said) == _NUMBER.size else _LOST
        return self.exitcode

    def close(self) -> None:
        """Let go of it: should it live, it ends now."""
        if self._alive is not None:
            os.close(self._alive)
            os.close(self._status)
            self._alive = None

    def _signal(self, signum: int) -> None:
        if self.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)


class Template:
    """Forks workers. One for each supervisor; its methods block, and may be called on any thread."""

    def __init__(self, control: socket.socket, process: int) -> None:
        self._control = control
        self._process = process
        self._ordering = Lock()

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Have a template for as long as the body runs. The caller's process must have no threads yet."""
        template = cls(*(_forked() if sys.platform == "linux" else _executed()))
        try:
            yield template
        finally:
            template.close()

    def fork(self, post: Post, api: socket.socket) -> Forked:
        """Start a worker. Where not even a new template can fork one, what is returned has ended, with code 255."""
        with self._ordering:
            worker = self._fork(post, api)
            if worker.is_alive():
                return worker
            try:
                self._replace()
            except OSError:  # no process more is allowed; another attempt may come later
                return worker
            worker.close()
            return self._fork(post, api)

    def close(self) -> None:
        """End the template. Workers that are left end by themselves, or are killed by who keeps them."""
        self._control.close()
        deadline = monotonic() + _CLOSING_S
        with suppress(ChildProcessError):
            while os.waitpid(self._process, os.WNOHANG) == (0, 0):
                if monotonic() > deadline:  # stopped, or still importing
                    os.kill(self._process, signal.SIGKILL)
                sleep(_PAUSE_S)

    def _fork(self, post: Post, api: socket.socket) -> Forked:
        order = pickle.dumps(post)
        status, told = os.pipe()
        held, alive = os.pipe()
        try:
            socket.send_fds(self._control, [_LENGTH.pack(len(order))], [api.fileno(), told, held])
            self._control.sendall(order)
        except OSError:  # nobody is there to take it
            pass
        finally:
            os.close(told)
            os.close(held)
        said = os.read(status, _NUMBER.size)
        return Forked(_NUMBER.unpack(said)[0] if said else 0, status, alive)

    def _replace(self) -> None:
        """Start another in place of one that died: a fork would copy locks that this process's threads hold."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)
        self._control, self._process = _executed()


def _prepare() -> None:
    """Import, and do once, what every worker would; before the template is forked, so that its supervisor shares it."""
    for name in _WORKERS_IMPORT:
        with suppress(ImportError):
            import_module(name)
    limit_native_threads()
    with suppress(Exception):  # each worker would then do it for itself
        warm_up()
    gc.collect()
    gc.freeze()  # a collection in a worker writes to every object it looks at, and so copies the page


def _forked() -> tuple[socket.socket, int]:
    _prepare()
    ours, theirs = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # or both would write what waits
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the template ignores it
    process = os.fork()
    if process == 0:
        try:
            ours.close()
            _run(theirs)
        finally:
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, process


def _executed() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair()
    with theirs:
        arguments = [str(theirs.fileno()), json.dumps(sys.path)]
        command = [sys.executable, "-c", "from model_manager.template import main; main()", *arguments]
        try:
            started = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        except BaseException:
            ours.close()
            raise
    started.returncode = 0  # it is waited for here, by its number
    return ours, started.pid


def main() -> NoReturn:
    """Be a template that was not forked; the arguments are its socket and the path of imports."""
    number, path = sys.argv[1:]
    sys.path[:] = json.loads(path)
    _prepare()
    _run(socket.socket(fileno=int(number)))


def _run(control: socket.socket) -> NoReturn:
    """Fork a worker for every order that comes in over `control`, and tell how each ends, until that is closed."""
    default_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor and the workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    woken, waking = wake_on_child()
    statuses: dict[int, int] = {}  # by process, where to tell its end
    poll = select.poll()
    copies = CopiesKept(poll)
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number == woken:
                os.read(woken, 4096)
                _tell_ends(statuses)
            elif number == control.fileno():
                _follow_order(control, statuses, copies, (woken, waking))
            else:
                copies.answer(number)


def _tell_ends(statuses: dict[int, int]) -> None:
    while (pid := ended_child()) is not None:
        _, status = os.waitpid(pid, 0)
        if pid in statuses:
            told = statuses.pop(pid)
            with suppress(OSError):  # nobody waits for it any more
                os.write(told, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
            os.close(told)


def _follow_order(control: socket.socket, statuses: dict[int, int], copies: CopiesKept, pipe: tuple[int, int]) -> None:
    length, fds, _, _ = socket.recv_fds(control, _LENGTH.size, _FDS)
    if not length:
        os._exit(0)
    post = control.recv(_LENGTH.unpack(length)[0], socket.MSG_WAITALL)
    api, told, held = fds
    ours, theirs = socket.socketpair()
    try:
        pid = os.fork()
    except OSError:  # no process more is allowed: nothing is said, and the end closed
        ours.close()
        os.close(told)
    else:
        if pid == 0:
            control.close()
            ours.close()
            copies.close()
            signal.set_wakeup_fd(-1)  # asyncio of Python 3.12 has done so when it was forked, and tells no number
            for number in (*pipe, told, *statuses.values()):
                os.close(number)
            _be_worker(post, socket.socket(fileno=api), held, theirs)
        os.write(told, _NUMBER.pack(pid))
        statuses[pid] = told
        copies.add(ours)
    theirs.close()
    os.close(api)
    os.close(held)


def _be_worker(post: bytes, api: socket.socket, supervisor: int, copies: socket.socket) -> NoReturn:
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until it is handled: Ctrl-C is no traceback
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = work(pickle.loads(post), api, supervisor, copies)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(code)
