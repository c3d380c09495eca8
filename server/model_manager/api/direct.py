"""A prediction that a connection answers itself: from the parser to the flow and back, without a task, in one write.

In the flow: connection → **direct** → serving.answering → connection, past ASGI and its scope, messages and events. A
connection comes here with what needs none of them (connection.py says what that is). Everything else goes by the app;
both ways ask the same flow and write the same bytes.

The flow's coroutine is begun in the very call that brought the end of the body, and goes on in the one that answers its
batch: two turns of the event loop less, and no task. Only where it waits for anything else (a large body decoded apart,
a client that does not read) the rest of it becomes a task.

What holds here as it does there. The lease, and with it everything that is counted, begins when the body is whole. A
client that leaves takes its rows out of the queue: the flow is cancelled. What the connection has against the body
(late, too much at once) is answered as an error of the call. `keep_alive` may turn false until the answer is written:
then it says `connection: close`, and is the last. A client that does not take its answers is waited for before the
next is written. Stopping waits for it as for the app's tasks, and cancels it when its time is over.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable
from io import BytesIO
from time import perf_counter
from typing import Any, Final, Protocol, TypeAlias

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from model_manager.api.compression import compress
from model_manager.api.dispatch import Destination
from model_manager.api.problems import response_of
from model_manager.call import UNHURRIED, Call, Headers, heed_headers
from model_manager.serving.answering import CLIENT_GONE, OK, Answer
from model_manager.serving.pending import Pending

logger = logging.getLogger(__name__)

_CLOSE: Final = b"connection: close\r\n\r\n"

Steps: TypeAlias = Coroutine[Any, None, Answer | None]
"""What goes on when something it waits for is there: to an answer, or to None once that was written."""


class DefaultHead:
    """The first lines of an answer of code 200, with the headers that every answer has: made anew when those change."""

    def __init__(self) -> None:
        self._headers: object = None
        self._made: dict[Headers, bytes] = {}

    def of(self, headers: list[tuple[bytes, bytes]], own: Headers) -> bytes:
        """Give the lines, with those of an answer's own headers behind them: kept where these are a tuple.

        uvicorn puts a new list in the place of the old `headers` once a second, so not much is kept.
        """
        if headers is not self._headers:
            self._headers, self._made = headers, {}
        lines = self._made.get(own) if type(own) is tuple else None
        if lines is None:
            lines = b"".join([STATUS_LINE[OK], *_lines(headers), *_lines(own)])
            if type(own) is tuple:
                self._made[own] = lines
        return lines


class Line(Protocol):
    """A connection, as far as its answers need it."""

    loop: asyncio.AbstractEventLoop
    tasks: set[Any]
    transport: asyncio.Transport
    server_state: ServerState
    default_head: DefaultHead

    @property
    def flow(self) -> FlowControl:
        """Whether the client takes what is written."""

    def finish(self) -> None:
        """Write nothing more."""

    def on_response_complete(self) -> None:
        """Go on with the next request."""


class Direct:
    """One such request, from its headers to the last byte of its answer: what `Exchange` is for the app."""

    __slots__ = (
        "_answering", "_awaited", "_compress_from", "_connection", "_failure", "_parts", "_steps", "body", "call",
        "keep_alive", "response_complete", "response_started",
    )  # fmt: skip

    http_version: Final = "1.1"

    def __init__(
        self,
        connection: Line,
        to: Destination,
        path: str,
        headers: Headers,
        keep_alive: bool,
        plain: bool = False,
    ) -> None:
        self._connection = connection
        self._compress_from = to.compress_from
        self._failure: Callable[[], Exception] | None = None
        self._steps: Steps | None = None
        self._awaited: asyncio.Future[Any] | None = None
        self._answering = to.answering
        self.call = Call(
            to.protocol, to.route, "POST", path, headers, to.model, to.version, perf_counter(), UNHURRIED, "", plain
        )
        self.body = b""
        self._parts: BytesIO | None = None  # all of a body that comes in several
        self.keep_alive = keep_alive
        self.response_started = False
        self.response_complete = False

    def take(self, part: bytes) -> None:
        """Add a part of the body."""
        if not self.body:
            self.body = part
            return
        if self._parts is None:
            self._parts = BytesIO()
            self._parts.write(self.body)
        self._parts.write(part)

    def fail(self, failure: Callable[[], Exception]) -> None:
        """Answer with this error instead, as the last of the connection."""
        self.keep_alive = False
        if self._steps is None:
            self._failure = failure
            self.start()

    def leave(self) -> None:
        """The client has left."""
        if self._steps is not None:
            self.cancel()
        elif not self.response_complete:
            self.response_complete = True
            self._answering.refuse(self.call, asyncio.CancelledError()).ended()

    def cancel(self) -> None:
        """Give it up, in the next turn of the loop, wherever it waits; nothing where it does not."""
        if self._awaited is not None:
            self._awaited.cancel()

    def start(self) -> None:
        """Have it answered: the body is whole, or will not be."""
        call = self.call
        self._connection.tasks.add(self)
        try:
            if self._failure is not None:
                raise self._failure()
            if not call.plain:
                heed_headers(call)
        except Exception as error:
            self._end(self._answering.refuse(call, error))
            return
        body = self.body if self._parts is None else self._parts.getvalue()  # which copies nothing
        self._steps = self._answering.answer(call, body, None)
        self.body, self._parts = b"", None
        self._go_on()

    def _go_on(self) -> None:
        """Take the flow to where it waits next, or to its end."""
        assert self._steps is not None
        self._awaited = None
        try:
            awaited = self._steps.send(None)
        except StopIteration as ended:
            self._end(ended.value)
        except asyncio.CancelledError:
            self._connection.tasks.discard(self)
        else:
            if type(awaited) is Pending:
                self._awaited = awaited
                awaited.go_on = self._go_on
            else:
                self._awaited = rest = self._connection.loop.create_task(_Rest(awaited, self._steps))
                rest.add_done_callback(self._rest_ended)

    def _rest_ended(self, rest: "asyncio.Task[Answer | None]") -> None:
        self._awaited = None
        if rest.cancelled():
            self._connection.tasks.discard(self)
        else:
            self._end(rest.result())

    def _end(self, answer: Answer | None) -> None:
        """Write an answer, at once where nothing has to be waited for; None: it was."""
        if answer is None:
            self._connection.tasks.discard(self)
        elif len(answer.body) >= self._compress_from or self._connection.flow.write_paused:
            self._steps = self._end_later(answer)
            self._go_on()
        else:
            try:
                self._write(answer)
            except Exception:
                self._abort()
            finally:
                answer.ended()
                self._connection.tasks.discard(self)

    async def _end_later(self, answer: Answer) -> None:
        """Write an answer once it is compressed, and the client takes it."""
        try:
            if len(answer.body) >= self._compress_from:
                await compress(answer)
            if self._connection.flow.write_paused:
                await self._connection.flow.drain()
            self._write(answer)
        except Exception:
            self._abort()
        finally:
            answer.ended()

    def _abort(self) -> None:
        logger.exception("an answer could not be written")
        self._connection.transport.abort()

    def _write(self, answer: Answer) -> None:
        connection = self._connection
        self.response_started = self.response_complete = True
        if answer.problem is not None:
            response = response_of(answer.problem, answer.servable)
            close = (b"connection", b"close") in response.raw_headers
            head = [STATUS_LINE[response.status_code], *_lines(connection.server_state.default_headers)]
            head += _lines(pair for pair in response.raw_headers if pair[0] != b"connection")
            self.keep_alive = self.keep_alive and not close
            connection.transport.write(b"".join([*head, b"\r\n" if self.keep_alive else _CLOSE, response.body]))
        elif answer.code != CLIENT_GONE:
            body, end = answer.body, b"\r\n" if self.keep_alive else _CLOSE
            lines = connection.default_head.of(connection.server_state.default_headers, answer.headers)
            connection.transport.write(b"%bcontent-length: %d\r\n%b%b" % (lines, len(body), end, body))
        if not self.keep_alive:
            connection.finish()
        connection.on_response_complete()


class _Rest(Coroutine[Any, None, Answer | None]):
    """The rest of a coroutine that waits for something already, as a task takes it."""

    __slots__ = ("_awaited", "_steps")

    def __init__(self, awaited: object, steps: Steps) -> None:
        self._awaited: object = awaited
        self._steps = steps

    def send(self, value: None) -> Any:
        awaited, self._awaited = self._awaited, _STARTED
        return awaited if awaited is not _STARTED else self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        return self._steps.throw(*error)

    def close(self) -> None:
        self._steps.close()

    def __await__(self) -> Generator[Any, None, Answer | None]:
        raise TypeError("a task takes it")


_STARTED: Final = object()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [b"%b: %b\r\n" % pair for pair in headers]
