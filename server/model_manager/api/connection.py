"""One HTTP/1.1 connection: bytes → requests, within limits; what is no request is answered here and not passed on.

In the flow: socket → door → **connection** → exchange → the app's middleware and routes; or, for a prediction that
needs none of these, → direct → the flow. Heads that came before are known again in recalling.py; its times and its end
are in lifetime.py.

The contract, which is also its tests (tests/door, tests/integration/test_direct.py):

1. A client gets one answer for each request, in their order. What waits behind a slow one is bounded, and not read on.
2. Whichever way a request goes, by the app or past it, known by its head or read anew, the same bytes are answered:
   only a POST of a path that was answered before, with a length that is told and allowed, not compressed, nothing
   expected or offered, and nothing unanswered before it, goes past the app.
3. Heads, bodies, chunks and the pace of either are held to the limits of the door, per client and all together. What
   breaks one, or is no HTTP, is told as `{"error": …}`, and ends the connection.
4. An offer of another protocol (`Upgrade`, RFC 9110 §7.8) is passed over, and the request served as HTTP/1.1.
5. A client that does not read is not written to any more; one that leaves is told to whoever answers it.
6. `connection: close`, of either side, is kept: the answer is whole, and the client has time to read it.
"""

from typing import Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from model_manager.api.direct import Direct
from model_manager.api.exchange import Exchange, exchange_of
from model_manager.api.head_checks import check_older_version, read_target
from model_manager.api.known_heads import GIVEN_UP
from model_manager.api.lifetime import BETWEEN, BODY, DEAF, HEAD, OVER
from model_manager.api.offers import AfterHead, framing
from model_manager.api.recalling import Recalling
from model_manager.api.refusal import Refusal, too_many_headers
from model_manager.errors import InvalidInput

_MOST_PIPELINED: Final = 128
_WATCHED: Final = frozenset((b"host", b"expect", b"transfer-encoding", b"content-length", b"content-encoding"))
_UNKNOWN: Final = -1


class Connection(Recalling):
    """Reads requests of one client and has the app answer them, one after the other."""

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; whatever is not whole after it counts against the limits."""
        stage = self._stage
        cycle: Exchange | Direct | None = self.cycle
        if stage >= DEAF:
            return
        if stage == BETWEEN and self._new_heads < GIVEN_UP and (cycle is None or cycle.response_complete):
            head = self._door.known_heads.find(data)
            if head is not None and self._answer_known(head, data):
                return
            self._new_heads += 1
        elif stage == BODY and self._missing:
            self._receive_known(data)
            return
        if stage <= HEAD and len(data) > self._room:
            self._receive_in_parts(data)
        else:
            try:  # as _parse does: every request comes by here
                self.parser.feed_data(data)
            except (httptools.HttpParserUpgrade, httptools.HttpParserError) as stop:
                self._stopped(data, stop)
            if self._stage:
                self._count_unfinished(len(data), whole=stage <= HEAD and cycle is self.cycle)
        if stage == BETWEEN and self._new_heads < GIVEN_UP and cycle is not self.cycle:
            self._remember(data)
        if self._whole is not None:
            self._start_direct()

    def _receive_in_parts(self, data: bytes) -> None:
        """Parse no more at once than a head may have."""
        rest = memoryview(data)
        while rest and self._stage < DEAF:
            stage, cycle = self._stage, self.cycle
            part = rest[: self._room if stage == HEAD else self._limits.header_bytes]
            rest = rest[len(part) :]
            self._parse(part)
            if self._stage:
                self._count_unfinished(len(part), whole=stage <= HEAD and cycle is self.cycle)

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserUpgrade, httptools.HttpParserError) as stop:
            self._stopped(data, stop)

    def _stopped(self, data: bytes | memoryview, stop: Exception) -> None:
        if isinstance(stop, httptools.HttpParserUpgrade):
            self._pass_over_offer(data, stop.args[0])
        elif isinstance(stop, httptools.HttpParserError):
            self._malformed(stop)

    def _pass_over_offer(self, data: bytes | memoryview, at: int) -> None:
        """Go on with the body, which the parser took for another protocol: a new one is told how long it is."""
        self._offered = False
        self.parser = httptools.HttpRequestParser(AfterHead(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(framing(self.headers, keep_alive=self.cycle.keep_alive))
        rest = memoryview(data)[at:]
        if rest:
            self._parse(rest)

    def _malformed(self, error: httptools.HttpParserError) -> None:
        """Say what is wrong: by the app where it reads the body, else by ourselves."""
        cause = error.__context__
        if isinstance(cause, Refusal):
            self._refuse(cause)
        elif isinstance(error, httptools.HttpParserCallbackError):
            raise error
        elif self._stage == BODY:
            said = f"the body is malformed: {error}"
            self._fail_body(lambda: InvalidInput(said))
        elif self.parser.get_method() == b"PRI":
            self._refuse(Refusal(400, "HTTP/2 is not spoken here; use HTTP/1.1"))
        else:
            self._refuse(Refusal(400, f"malformed request: {error}"))

    # What the parser tells

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._stage = HEAD
        self._since = self._door.sweeps
        self._room = self._limits.header_bytes
        self._host = None
        self.url = b""
        self._length = _UNKNOWN
        self._encoded = False
        self.expect_100_continue = False
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes after a body is none."""
        if self._stage == HEAD:
            name = name.lower()
            if name in _WATCHED:
                self._check_header(name, value)
            self.headers.append((name, value))

    def _check_header(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            if self._host is not None:
                raise Refusal(400, "the header host is there twice")
            self._host = value.strip()
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise Refusal(417, "no expectation but 100-continue is met here")
            self.expect_100_continue = True
        elif name == b"content-length":
            self._length = int(value)  # the parser has seen that it is digits
        elif name == b"content-encoding":
            self._encoded = True
        elif value.lower() != b"chunked":
            raise Refusal(400, "no transfer-encoding but chunked is read here")

    def on_headers_complete(self) -> None:
        """Have the request answered, after those before it."""
        parser, door = self.parser, self._door
        last: Exchange | Direct | None = self.cycle
        if len(self.headers) > self._limits.headers:
            raise too_many_headers(self._limits.headers)
        method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        if version == "1.1":
            if self._host is None:
                raise Refusal(400, "the header host is missing")
            keep_alive = not door.closing and parser.should_keep_alive()
        else:
            check_older_version(version, self.headers)
            self.expect_100_continue = False  # which came with HTTP/1.1
            keep_alive = False
        if self._host is not None and self._host not in door.known_hosts:
            door.check_host(self._host)
        if parser.should_upgrade():
            if method == "CONNECT":
                raise Refusal(400, "CONNECT is not served: this is no proxy")
            self._offered = True
        raw_path, query = read_target(self.url, door.check_host)
        path = raw_path.decode("ascii")
        if "%" in path:
            path = unquote(path)
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise Refusal(400, f"over {_MOST_PIPELINED} requests wait on this connection; read answers first")
        self._stage = BODY
        self._quiet = -1
        at_once = last is None or last.response_complete
        if at_once and version == "1.1" and method == "POST" and door.known.direct and self._length >= 0:
            destination = door.known.get(path)
            if destination is not None and self._length <= destination.limit and self._is_plain():
                self.cycle = self._running = Direct(self, destination, path, self.headers, keep_alive)
                return
        asked = (method, version, path, raw_path, query)
        self.cycle = exchange = exchange_of(self, self._outlet, asked, keep_alive=keep_alive)
        if last is None or last.response_complete:
            self._running = exchange
            self._start_asgi_task(exchange, self.app)
        else:
            self._wait(exchange, behind=last)

    def _is_plain(self) -> bool:
        """Whether nothing is asked for but an answer."""
        return not self._offered and not self._encoded and not self.expect_100_continue

    def _wait(self, exchange: Exchange, *, behind: Exchange | Direct) -> None:
        """Let a request wait for the one before it, and read no more meanwhile."""
        if self._door.closing and not behind.response_started and behind.http_version == "1.1":
            behind.keep_alive = True  # this is the last one now
        self.pipeline.appendleft((exchange, self.app))
        self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._quiet = -1
        exchange = self.cycle
        if exchange.response_complete:
            return
        if isinstance(exchange, Direct):
            exchange.take(body)
            return
        exchange.body += body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.message_event.set()

    def on_message_complete(self) -> None:
        """The end of the request."""
        if self._offered:
            return  # what the parser takes for the end: the body is to come
        self._stage = BETWEEN
        if self.held:
            self._forget_body()
        exchange = self.cycle
        if exchange.response_complete:
            return
        if isinstance(exchange, Direct):
            self._whole = exchange
        else:
            exchange.more_body = False
            exchange.message_event.set()

    def on_response_complete(self) -> None:
        """The last byte of an answer was written."""
        self.server_state.total_requests += 1
        self._since = self._door.sweeps
        if self._stage == OVER or self.transport.is_closing():
            return
        if self.pipeline:
            self._running, app = self.pipeline.pop()
            self._start_asgi_task(self._running, app)
        elif self._last_words is not None:
            self._say(self._last_words)
        elif self.flow.read_paused:
            self.flow.resume_reading()
