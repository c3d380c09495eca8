"""What model_manager/api takes from inside uvicorn and httptools: when an upgrade moves something, this says what."""

import asyncio
import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import httptools
import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server

ATTRIBUTES = {
    HttpToolsProtocol: {
        "app", "cycle", "expect_100_continue", "flow", "headers", "parser", "pipeline", "scope", "server_state",
        "connections", "transport", "url",
    },
    RequestResponseCycle: {
        "body", "disconnected", "keep_alive", "message_event", "more_body", "on_response", "response_complete",
        "response_started", "scope", "transport", "waiting_for_100_continue",
    },
    FlowControl: {"_transport", "read_paused", "write_paused"},
}  # fmt: skip
METHODS = {
    HttpToolsProtocol: {
        "connection_made", "connection_lost", "data_received", "on_message_begin", "on_url", "on_header",
        "on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "shutdown", "_start_asgi_task",
    },
    RequestResponseCycle: {"receive", "send", "run_asgi"},
    FlowControl: {"pause_reading", "resume_reading", "pause_writing", "resume_writing"},
    Server: {"capture_signals", "startup", "on_tick", "shutdown"},
}  # fmt: skip


def said(where: type, names: Iterable[str]) -> str:
    return f"{where.__module__}.{where.__name__} has no more: {', '.join(sorted(names))}"


@pytest.mark.parametrize("where", ATTRIBUTES, ids=lambda where: where.__name__)
def test_attributes(where: type) -> None:
    source = inspect.getsource(where)
    missing = {name for name in ATTRIBUTES[where] if f"self.{name}" not in source}
    assert not missing, said(where, missing)


@pytest.mark.parametrize("where", METHODS, ids=lambda where: where.__name__)
def test_methods(where: type) -> None:
    missing = {name for name in METHODS[where] if not callable(getattr(where, name, None))}
    assert not missing, said(where, missing)


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (HttpToolsProtocol.__init__, ["self", "config", "server_state", "app_state", "_loop"]),
        (HttpToolsProtocol._start_asgi_task, ["self", "cycle", "app"]),
        (
            RequestResponseCycle.__init__,
            [
                "self", "scope", "transport", "flow", "logger", "access_logger", "access_log", "default_headers",
                "message_event", "expect_100_continue", "keep_alive", "on_response",
            ],
        ),
        (Server.startup, ["self", "sockets"]),
        (Server.shutdown, ["self", "sockets"]),
        (Server.on_tick, ["self", "counter"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)  # fmt: skip
def test_parameters(function: Callable[..., Any], parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_a_protocol_is_made_by_whatever_the_configuration_names() -> None:
    protocol = partial(asyncio.Protocol)

    async def app(scope: object, receive: object, send: object) -> None: ...

    config = Config(app, http=protocol)  # type: ignore[arg-type]
    config.load()
    made: object = config.http_protocol_class
    assert made is protocol


def test_an_answer_ends_by_closing_what_it_was_given_for_a_transport() -> None:
    source = inspect.getsource(RequestResponseCycle)
    used = {part.split("(")[0].split(".")[0].strip() for part in source.split("self.transport.")[1:]}
    assert used == {"write", "close", "is_closing"}


def test_status_lines() -> None:
    assert STATUS_LINE[431] == b"HTTP/1.1 431 Request Header Fields Too Large\r\n"


class Told:
    """What a parser says."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def on_message_begin(self) -> None:
        self.said.append("begin")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.said.append(name)
        if name == b"raise":
            raise KeyError("of ours")

    def on_headers_complete(self) -> None:
        self.said.append("headers")

    def on_body(self, body: bytes) -> None:
        self.said.append(body)

    def on_message_complete(self) -> None:
        self.said.append("complete")


def test_the_parser_stops_after_the_headers_of_an_offer_and_says_where() -> None:
    told = Told()
    head = b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 3\r\n\r\n"
    parser = httptools.HttpRequestParser(told)
    with pytest.raises(httptools.HttpParserUpgrade) as raised:
        parser.feed_data(head + b"abc")
    assert raised.value.args[0] == len(head)
    assert told.said == ["begin", b"connection", b"upgrade", b"content-length", "headers", "complete"]
    assert parser.should_upgrade()


def test_the_parser_takes_views_and_passes_on_what_callbacks_raise() -> None:
    parser = httptools.HttpRequestParser(Told())
    with pytest.raises(httptools.HttpParserCallbackError) as raised:
        parser.feed_data(memoryview(b"GET / HTTP/1.1\r\nraise: a\r\nb: c\r\n"))
    assert isinstance(raised.value.__context__, KeyError)
