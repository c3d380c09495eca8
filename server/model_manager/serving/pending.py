"""What a request waits for in a batch: a future that a task can wait for, or whoever can go on without one.

In the flow: batcher.submit → **pending** → answering.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
_set_result = asyncio.Future.set_result


class Pending(asyncio.Future[_T]):
    """A future that calls `go_on`, if that is set, in the very call that gives it a result.

    That saves a turn of the event loop for every batch. With an exception or cancelled, which come from anywhere, it
    calls it in the next turn, as the callbacks of any future are.
    """

    go_on: Callable[[], None] | None = None

    def set_result(self, result: _T, /) -> None:
        """Set the result; raises InvalidStateError when it is done already."""
        _set_result(self, result)
        if self.go_on is not None:
            self.go_on()

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Set an exception; raises InvalidStateError when it is done already."""
        super().set_exception(exception)
        if self.go_on is not None:
            self.get_loop().call_soon(self.go_on)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel it; whether it was not done yet."""
        cancelled = super().cancel(msg)
        if cancelled and self.go_on is not None:
            self.get_loop().call_soon(self.go_on)
        return cancelled
