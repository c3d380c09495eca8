"""What a store of artifacts is asked, whatever it is: an object store or an HTTP server.

Place in the flow: `stores` and `http_store` do it; fetching reads through it, publishing writes.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

MOST_OF_SMALL: Final = 16 * 2**20
"""The most bytes of a file that is read whole: metadata, a signature."""


class Incoming(NamedTuple):
    """Bytes on their way: those from `start` on, of `total` in all.

    `start` may be less than was asked for, from a server that knows no ranges. Reading `chunks` raises StoreFailed.
    """

    total: int
    start: int
    chunks: Generator[bytes]


class Store(Protocol):
    """One store. Paths are relative to it. Everything blocks, within the store's limits, and raises StoreFailed."""

    def read(self, path: str, start: int = 0) -> Incoming:
        """Begin to read a file from a byte on."""

    def read_small(self, path: str) -> bytes | None:
        """Read a file whole, of MOST_OF_SMALL bytes at the most; None where there is none."""

    def size(self, path: str) -> int | None:
        """Tell how many bytes a file has; None where there is none."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a file unless there is one, in one step that nobody comes between; False where there is one."""

    def upload(self, path: str, file: Path, told: Callable[[int], None]) -> None:
        """Write a file that can be seen only once it is whole; `told` gets the number of bytes of each part sent."""

    @property
    def copies(self) -> bool:
        """Whether it can copy by itself."""

    def copy(self, source: str, target: str) -> None:
        """Copy within the store, where it `copies`; only once the copy is whole can it be seen."""
