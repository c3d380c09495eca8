"""The processes between a server and its children: one that forks, and for each child one that keeps it.

In the flow: server (nursery.py) → **nursery process**, forked from a server that has no threads yet → **keeper** →
child (confinement.py), which runs one function. A keeper is all that a child could harm. It kills the child, and
whatever that has started, when the server lets go of it or is gone; nobody else has to know how.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

import msgspec

from model_manager.serving.confinement import Limits, adopt_orphans, confine, default_signals

MOST_FDS: Final = 8
LARGEST_ORDER: Final = 1 << 16
NICEST: Final = b"n"
"""What a server tells a keeper whose child takes long: it shall take only what nobody else wants."""
_KEPT_OUTPUT: Final = 4096
_QUIET_MS: Final = 20
"""After a child was ordered, when the next is prepared: not while the machine is wanted for the first."""


class Order(msgspec.Struct, frozen=True):
    """A child that the server wants: the function "module:name" that it runs, within limits."""

    function: str
    limits: Limits


class Ended(msgspec.Struct, frozen=True):
    """How a child ended: its status as waitpid gives it, the beginning and the end of what it wrote, and how much."""

    status: int
    output: bytes
    output_bytes: int


def run_nursery(control: socket.socket, prepare: str) -> NoReturn:
    """Fork a keeper for every order that comes in over `control`, until that is closed. Called after a fork.

    `prepare`: the function "module:name" that is called first, for what all children would do again.
    """
    os.setsid()  # Ctrl-C is for the server
    default_signals()
    adopt_orphans()
    _function(prepare)()
    gc.freeze()  # what was imported stays in pages that are shared with the server
    woken, _ = wake_on_child()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(woken, select.POLLIN)
    keepers: set[int] = set()
    spare: socket.socket | None = None
    while True:
        ready = poll.poll(_QUIET_MS if spare is None else None)
        if not ready:
            spare = _spare_keeper(control, keepers)
        for number, _ in ready:
            if number == woken:
                os.read(woken, 4096)
                _reap(keepers)
                continue
            message, fds, _, _ = socket.recv_fds(control, LARGEST_ORDER, MOST_FDS)
            if not message:
                os._exit(0)
            with suppress(OSError):  # no process more is allowed: the server finds nobody at the other end
                if spare is None or not _hand_over(spare, message, fds):  # one that was killed meanwhile
                    _hand_over(_spare_keeper(control, keepers), message, fds)
            spare = None
            for fd in fds:
                os.close(fd)


def _hand_over(keeper: socket.socket, message: bytes, fds: Sequence[int]) -> bool:
    """Give an order to a keeper; whether it was there to take it."""
    with keeper:
        try:
            socket.send_fds(keeper, [message], fds)
        except (BrokenPipeError, ConnectionResetError):
            return False
    return True


def _spare_keeper(control: socket.socket, keepers: set[int]) -> socket.socket:
    """Fork a keeper that has forked its child, and give the line on which they wait for an order.

    To copy a process that has imported everything takes longer than most of what a child does.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        pid = os.fork()
        if pid == 0:
            control.close()
            ours.close()
            _keep(theirs)
    keepers.add(pid)
    return ours


def main() -> NoReturn:
    """Be a nursery process that was not forked; the arguments are its socket, the path of imports, and `prepare`."""
    number, path, prepare = sys.argv[1:]
    sys.path[:] = json.loads(path)
    run_nursery(socket.socket(fileno=int(number)), prepare)


def _function(named: str) -> Callable[..., object]:
    module, _, name = named.partition(":")
    function: Callable[..., object] = getattr(importlib.import_module(module), name)
    return function


def _reap(keepers: set[int]) -> None:
    """Forget the keepers that ended, and kill what those that were killed have left behind."""
    while (pid := ended_child()) is not None:
        os.waitpid(pid, 0)
        keepers.discard(pid)
    for stray in set(_children()) - keepers:
        with suppress(ProcessLookupError):
            os.kill(stray, signal.SIGKILL)


def _keep(orders: socket.socket) -> NoReturn:
    """Fork the child, wait for its order, and see to its end."""
    try:
        reading, writing = os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        keeper = os.getpid()
        child = os.fork()
        if child == 0:
            orders.close()
            ours.close()
            _be_child(theirs, keeper, writing)
        os.close(writing)
        theirs.close()
        message, (watch, *fds) = _order(orders)
        with ours:
            socket.send_fds(ours, [message], fds)
        for fd in fds:
            os.close(fd)
        _see_to_the_end(child, watch, reading)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _order(orders: socket.socket) -> tuple[bytes, list[int]]:
    """Wait for an order, and end with whoever would give it: the server's line to here, then the child's files."""
    with orders:
        message, fds, _, _ = socket.recv_fds(orders, LARGEST_ORDER, MOST_FDS)
    if not message:
        os._exit(0)
    return message, fds


def _be_child(orders: socket.socket, keeper: int, output: int) -> NoReturn:
    code = 1
    try:
        message, (talk, *fds) = _order(orders)
        order = msgspec.msgpack.decode(message, type=Order)
        confine(order.limits, parent=keeper, keep=(talk, *fds), output=output)
        _function(order.function)(talk, *fds)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _see_to_the_end(child: int, watch: int, reading: int) -> None:
    adopt_orphans()
    woken, _ = wake_on_child()
    output = _Output(reading)
    poll = select.poll()
    for number in (watch, reading, woken):
        poll.register(number, select.POLLIN)
    while (ended := ended_child()) != child:
        if ended is not None:
            os.waitpid(ended, 0)  # an orphan that came here
            continue
        for number, _ in poll.poll():
            if number == woken:
                os.read(woken, 4096)
            elif number == reading:
                if not output.read():
                    poll.unregister(reading)
            elif _told(watch) == NICEST:
                with suppress(OSError):
                    os.setpriority(os.PRIO_PGRP, child, 19)
            else:  # nobody is there any more who wants it
                _kill(child)
                poll.unregister(watch)
    _kill(child)  # the others of its group; its number is taken as long as it was not waited for
    _, status = os.waitpid(child, 0)
    os.set_blocking(reading, False)
    with suppress(BlockingIOError):
        while output.read():
            pass
    with suppress(OSError):
        os.write(watch, msgspec.msgpack.encode(Ended(status, output.kept, output.count)))
    os.close(watch)
    _kill_the_rest()


def _told(watch: int) -> bytes:
    try:
        return os.read(watch, 1)
    except ConnectionResetError:
        return b""


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):  # it may have no group of its own yet
        with suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)


def _kill_the_rest() -> None:
    """Kill what left the child's group, until there is nobody left."""
    with suppress(ChildProcessError):
        while True:
            for pid in _children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


class _Output:
    """What a child writes: its beginning and its end are kept."""

    def __init__(self, source: int) -> None:
        self._source = source
        self._head = self._tail = b""
        self.count = 0

    def read(self) -> bool:
        """Read what is there; whether more may come."""
        more = os.read(self._source, 1 << 16)
        self.count += len(more)
        room = _KEPT_OUTPUT - len(self._head)
        self._head += more[:room]
        self._tail = (self._tail + more[room:])[-_KEPT_OUTPUT:]
        return bool(more)

    @property
    def kept(self) -> bytes:
        """Beginning and end, with a sign between them if something is left out."""
        left_out = self.count - len(self._head) - len(self._tail)
        return self._head + (b"\n[...]\n" if left_out else b"") + self._tail


def wake_on_child() -> tuple[int, int]:
    """Give the numbers of a pipe, reading and writing, that becomes readable whenever a child ends."""

    def noticed(signum: int, frame: FrameType | None) -> None:
        pass

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, noticed)
    os.write(writing, b"\0")  # for one that ended before
    return reading, writing


def ended_child() -> int | None:
    """A child that ended and was not waited for."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def _children() -> list[int]:
    """The processes whose parent this is; none where the kernel does not tell."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []
