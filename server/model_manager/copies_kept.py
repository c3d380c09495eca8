"""Copies of models that workers share: who has one, who makes one, and which are needed no more. Runs in the template.

In the flow: worker (serving/shared_copies.py) ⇄ **here**, over a socket for each worker. A copy is a file in memory
that nobody can write to; kept here, since the worker that made it may go. The first that asks for a copy makes it,
others who ask meanwhile wait for that; should it die over it, the next of them does. A worker that ends holds nothing.
"""

import os
import select
import socket
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from model_manager.serving.shared_copies import ASK, COPY, DROP, FRAME, KEY, MADE, MAKE, NONE

_FDS: Final = 1


@dataclass(slots=True)
class _Worker:
    line: socket.socket
    holds: Counter[bytes] = field(default_factory=Counter)


class _Asking(NamedTuple):
    worker: _Worker
    line: socket.socket


class CopiesKept:
    """The copies and who holds them. What comes in over its sockets is told to `answer`, by `poll`."""

    def __init__(self, poll: "select.poll") -> None:
        self._poll = poll
        self._workers: dict[int, _Worker] = {}
        self._makers: dict[int, tuple[bytes, _Asking]] = {}
        self._waiting: dict[bytes, deque[_Asking]] = {}  # by key, while somebody makes it
        self._copies: dict[bytes, int] = {}

    def add(self, line: socket.socket) -> None:
        """Take note of a worker, by its line."""
        self._workers[line.fileno()] = _Worker(line)
        self._poll.register(line, select.POLLIN)

    def answer(self, number: int) -> None:
        """Read what has come in over the socket of this number, and do it."""
        if number in self._workers:
            self._hear_worker(number)
        else:
            self._hear_maker(number)

    def close(self) -> None:
        """Close all files, in a process that was forked and has nothing to do with them."""
        for worker in self._workers.values():
            worker.line.close()
        for _, maker in self._makers.values():
            maker.line.close()
        for waiting in self._waiting.values():
            for asking in waiting:
                asking.line.close()
        for copy in self._copies.values():
            os.close(copy)

    def _hear_worker(self, number: int) -> None:
        worker = self._workers[number]
        frame, fds = _received(worker.line, FRAME)
        kind, key = frame[:1], frame[1:]
        if kind == ASK and fds:
            self._ask(key, _Asking(worker, socket.socket(fileno=fds[0])))
        elif kind == DROP:
            self._drop(worker, key)
        elif not frame:
            self._poll.unregister(number)
            del self._workers[number]
            worker.line.close()
            for held in list(worker.holds):
                worker.holds[held] = 1
                self._drop(worker, held)

    def _ask(self, key: bytes, asking: _Asking) -> None:
        if key in self._copies:
            self._give(key, asking)
        elif key in self._waiting:
            self._waiting[key].append(asking)
        else:
            self._waiting[key] = deque()
            self._have_made(key, asking)

    def _have_made(self, key: bytes, asking: _Asking) -> None:
        if not _sent(asking.line, MAKE):
            asking.line.close()
            self._next(key)
            return
        self._makers[asking.line.fileno()] = key, asking
        self._poll.register(asking.line, select.POLLIN)

    def _next(self, key: bytes) -> None:
        """Have the next that waits for a copy make it: the one that should have is gone."""
        if self._waiting[key]:
            self._have_made(key, self._waiting[key].popleft())
        else:
            del self._waiting[key]

    def _hear_maker(self, number: int) -> None:
        key, maker = self._makers.pop(number)
        self._poll.unregister(number)
        said, fds = _received(maker.line, len(MADE))
        maker.line.close()
        if not said:
            self._next(key)
            return
        waiting = self._waiting.pop(key)
        if said == MADE and fds:
            self._copies[key] = fds[0]
            maker.worker.holds[key] += 1
        for asking in waiting:
            if key in self._copies:
                self._give(key, asking)
            else:  # it was found to be of no use, which each would find
                _sent(asking.line, NONE)
                asking.line.close()
        self._forget_unheld(key)  # whoever made it may have ended meanwhile

    def _give(self, key: bytes, asking: _Asking) -> None:
        with asking.line:
            if _sent(asking.line, COPY, self._copies[key]):
                asking.worker.holds[key] += 1

    def _drop(self, worker: _Worker, key: bytes) -> None:
        worker.holds[key] -= 1
        if worker.holds[key] <= 0:
            del worker.holds[key]
        self._forget_unheld(key)

    def _forget_unheld(self, key: bytes) -> None:
        if key in self._copies and not any(key in other.holds for other in self._workers.values()):
            os.close(self._copies.pop(key))


def _received(line: socket.socket, size: int) -> tuple[bytes, list[int]]:
    try:
        said, fds, _, _ = socket.recv_fds(line, size, _FDS)
    except OSError:
        return b"", []
    return said, fds


def _sent(line: socket.socket, said: bytes, *fds: int) -> bool:
    with suppress(OSError):  # whoever asked has given up waiting
        socket.send_fds(line, [said], fds)
        return True
    return False


assert len(ASK) + KEY == FRAME, "a frame is its kind and a key"
