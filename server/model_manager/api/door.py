"""What the connections of one port share: limits, what they hold together, and one sweep for all their time limits.

In the flow: socket → **door** lets it in → connection → the app. Time is counted in sweeps, one a second of a loop that
turns: while model code holds the loop up, no client is late for it, and no request needs a timer of its own.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from model_manager.api.direct import DefaultHead
from model_manager.api.dispatch import KnownPaths
from model_manager.api.known_heads import KnownHeads
from model_manager.api.refusal import Refusal
from model_manager.settings import Settings

SWEEP_S: Final = 1.0
_MOST_KNOWN_HOSTS: Final = 1000
_SPARE_FILES: Final = 256  # of those that a process may have open: for models, the log, and connections being refused
_WRITE_TIMEOUT_LEAVING: Final = 5
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(?::\d*)?").fullmatch
_PORT: Final = re.compile(rb":\d*\Z")


class Guest(Protocol):
    """A connection, as the door sees it. `held`: the bytes of a body that is not whole."""

    held: int
    transport: asyncio.Transport

    def sweep(self) -> None:
        """Look at the time."""

    def announce_close(self) -> None:
        """Make the answer under way the last one."""

    def close_if_idle(self) -> None:
        """Close, if nothing is asked."""

    def refuse_held_body(self) -> None:
        """Give the body up."""


class Limits(msgspec.Struct, frozen=True):
    """What one client, and all of them together, may ask of a port. Times are in seconds, and so in sweeps.

    `hosts` are those that are answered, in lower case, as `name` or `*.name`; none: any.
    """

    header_bytes: int
    headers: int
    header_s: int
    body_s: int
    write_s: int
    idle_s: int
    connections: int
    receiving_bytes: int
    body_bytes: int
    hosts: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, settings: Settings, *, any_host: bool = False) -> "Limits":
        """The limits that are set, and no more connections than this process may have files open."""
        named = (host.strip().lower().encode() for host in settings.allowed_hosts.split(","))
        return cls(
            header_bytes=settings.max_header_bytes,
            headers=settings.max_headers,
            header_s=settings.header_timeout_s,
            body_s=settings.body_timeout_s,
            write_s=settings.write_timeout_s,
            idle_s=settings.keep_alive_s,
            connections=min(settings.max_connections, max(1, _open_files() - _SPARE_FILES)),
            receiving_bytes=max(settings.max_receiving_bytes, settings.max_body_bytes),
            body_bytes=settings.max_body_bytes,
            hosts=frozenset() if any_host else frozenset(filter(None, named)),
        )


class Door:
    """The shared state of a port's connections. `refused` is told the code of what no route was asked.

    `closing`: every answer is the last one of its connection. `sweeps`: the clock of all time limits. `receiving`: the
    bytes of bodies that are not whole yet. `known`: paths that connections may answer themselves.
    """

    def __init__(self, limits: Limits, refused: Callable[[int], None]) -> None:
        self.limits = limits
        self.refused = refused
        self.known = KnownPaths()
        self.known_heads = KnownHeads()
        self.default_head = DefaultHead()
        self.connections: set[Guest] = set()
        self.closing = False
        self.sweeps = 0
        self.receiving = 0
        self.known_hosts: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin to sweep, on the running loop, until `unwatch`."""
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def unwatch(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()

    def full(self) -> bool:
        """Whether there are more connections than may be."""
        return len(self.connections) > self.limits.connections

    def overfull(self) -> bool:
        """Whether not even refusals can be waited for any more."""
        return len(self.connections) > self.limits.connections + _SPARE_FILES // 2

    def close(self) -> None:
        """From now on every answer closes its connection."""
        self.closing = True
        for connection in self.connections:
            connection.announce_close()

    @property
    def write_s(self) -> int:
        """How long a client may take nothing of its answer: less when the server waits for it alone."""
        return min(self.limits.write_s, _WRITE_TIMEOUT_LEAVING) if self.closing else self.limits.write_s

    def relieve(self) -> None:
        """Refuse the largest body under way when all of them together are too much to hold.

        One is enough: whoever has just sent something holds at least that.
        """
        if self.receiving > self.limits.receiving_bytes:
            max(self.connections, key=lambda connection: connection.held).refuse_held_body()

    def check_host(self, host: bytes) -> None:
        """Raise Refusal for what is no Host, or none of those that are answered."""
        if host in self.known_hosts:
            return
        if not _HOST(host):
            raise Refusal(400, "the header host is malformed")
        name = _PORT.sub(b"", host.lower()).removesuffix(b".")
        above = (b"*" + name[at:] for at in range(len(name)) if name[at : at + 1] == b".")
        hosts = self.limits.hosts
        if hosts and name not in hosts and hosts.isdisjoint(above):
            raise Refusal(421, f"host {name.decode()!r} is not answered here (allowed_hosts)")
        if len(self.known_hosts) < _MOST_KNOWN_HOSTS:
            self.known_hosts.add(host)

    def _sweep(self) -> None:
        self.sweeps += 1
        for connection in list(self.connections):
            connection.sweep()
        self.watch()


def _open_files() -> int:
    """The most files that this process may have open."""
    try:
        import resource
    except ImportError:  # not a Unix
        return 1 << 20
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
