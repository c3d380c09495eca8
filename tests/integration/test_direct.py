"""Predictions that connections answer themselves are answered as the app answers them, byte for byte."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import uvicorn
from model_manager.api.connection import Connection
from model_manager.api.direct import Direct
from model_manager.api.door import Door, Limits
from model_manager.api.exchange import Exchange
from model_manager.api.port import Port, connections_of
from model_manager.app import create_app
from model_manager.serving.system import System
from model_manager.settings import Settings

from tests.integration.conftest import IRIS
from tools.patience import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

V1, V2, OLDER = "/v1/models/iris:predict", "/v2/models/iris/infer", "/v1/models/iris/versions/1:predict"
LIMIT = 400_000


class Way(NamedTuple):
    """A port of its own over one system, and the door of its connections."""

    door: Door
    port: int


class Ways(NamedTuple):
    """The same app twice: `direct` where connections answer what they can, `asgi` where the app answers everything."""

    system: System
    direct: Way
    asgi: Way


@asynccontextmanager
async def listening(app_of: Callable[[Door], Any], settings: Settings) -> AsyncIterator[Way]:
    door = Door(Limits.of(settings), lambda code: None)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        config = uvicorn.Config(
            app_of(door),
            interface="asgi3",
            http=connections_of(door),
            log_config=None,
            access_log=False,
            server_header=False,
        )
        port = Port(config, door, drain_s=5)
        serving = asyncio.create_task(port.serve(sockets=[bound]))
        yield Way(door, bound.getsockname()[1])
        port.should_exit = True
        await serving


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ways(samples: Path) -> AsyncIterator[Ways]:
    settings = await asyncio.to_thread(lambda: Settings(models=samples, max_body_bytes=LIMIT))
    system = await asyncio.to_thread(System, settings)
    app = None

    def first(door: Door) -> Any:
        nonlocal app
        app = create_app(system, known=door.known)
        return app

    async with listening(first, settings) as direct:
        await until(lambda: system.registry.reached, "the models to be there")

        async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] != "lifespan", "the system runs already"
            assert app is not None
            await app(scope, receive, send)

        async with listening(lambda door: without_lifespan, settings) as asgi:
            yield Ways(system, direct, asgi)


def request(target: str, body: bytes | Any, *headers: str, version: str = "1.1") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {target} HTTP/{version}", "host: models", f"content-length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def answers(way: Way, sent: Sequence[bytes], count: int = 1) -> tuple[list[bytes], bool, type]:
    """What comes back for these packets: so many answers, whether the connection was closed, and who answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    try:
        for packet in sent:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0)
        found = [await _read(reader) for _ in range(count)]
        port = writer.get_extra_info("sockname")[1]
        by = next((type(one.cycle) for one in _connections(way) if one.client and one.client[1] == port), type(None))
        try:
            closed = await asyncio.wait_for(reader.read(1), 0.05) == b""
        except TimeoutError:
            closed = False
        return found, closed, by
    finally:
        writer.close()
        await writer.wait_closed()


def _connections(way: Way) -> list[Connection]:
    return [one for one in way.door.connections if isinstance(one, Connection)]


def _without_chance(text: bytes) -> bytes:
    """Without the time, and the ids that requests get which have none."""
    return re.sub(rb"date: [^\r]*|[0-9a-f]{32}", b"", text)


GOOD = {"instances": [IRIS]}
TENSOR = {"name": "input", "datatype": "FP64", "shape": [1, 4], "data": IRIS}
SIZED = {"name": "input", "datatype": "FP64", "shape": [1, 4], "parameters": {"binary_data_size": 32}}
BINARY = json.dumps({"id": "b", "inputs": [SIZED], "parameters": {"binary_data_output": True}}).encode()
REQUESTS = {
    "V1": (V1, GOOD),
    "V1, all that may be asked": (V1, {**GOOD, "outputs": ["predict_proba", "predict"]}, "x-request-id: 7"),
    "an older version": (OLDER, GOOD),
    "V2": (V2, {"id": "42", "inputs": [TENSOR], "outputs": [{"name": "predict"}]}),
    "V2, every output": (V2, {"id": "e", "inputs": [TENSOR]}, "content-type: application/json"),
    "by name": ("/v1/models/churn:predict", {"instances": [{"contract": "no such"}]}),
    "no body": (V1, b""),
    "no JSON": (V1, b'{"instances": [[1,'),
    "no UTF-8": (V1, b'{"instances": ["\xff"]}'),
    "a word for a number": (V1, {"instances": [[1, "wide", 3, 4]]}, "x-request-id: an-id"),
    "too few columns": (V1, {"instances": [[1, 2]]}),
    "another content type": (V1, GOOD, "content-type: text/csv"),
    "a compressed body": (V1, GOOD, "content-encoding: gzip"),
    "binary tensors": (V2, BINARY + struct.pack("<4d", *IRIS), f"inference-header-content-length: {len(BINARY)}"),
    "too few bytes": (V2, b"1234567", "inference-header-content-length: 0"),
    "an urgency that is none": (V1, GOOD, "x-priority: now"),
    "a time that is none": (V1, GOOD, "x-request-timeout-ms: soon"),
    "no time": (V1, GOOD, "x-request-timeout-ms: 0.000001"),
    "a trace": (V1, GOOD, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    "the last one": (V1, GOOD, "connection: close"),
    "a refused last one": (V1, b"{", "connection: close"),
    "many rows": (V2, {"id": "r", "inputs": [{**TENSOR, "shape": [4000, 4], "data": IRIS * 4000}]}),
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
async def test_both_ways_write_the_same(ways: Ways, asked: tuple[Any, ...]) -> None:
    sent = request(*asked)
    for way in (ways.direct, ways.asgi):  # a path is known once it was answered
        await answers(way, [request(asked[0], GOOD if asked[0] != V2 else {"inputs": [TENSOR]})])
    direct, closed, by = await answers(ways.direct, [sent])
    asgi, closed_there, by_there = await answers(ways.asgi, [sent])
    assert direct == asgi
    assert closed == closed_there == ("connection: close" in asked[2:])
    if not closed:
        compressed = "content-encoding: gzip" in asked[2:]  # which the app inflates, whichever way it came
        assert (by, by_there) == (Exchange if compressed else Direct, Exchange)


@pytest.mark.parametrize("sizes", [1, 7, 70_000], ids=["bytes", "scraps", "packets"])
async def test_it_is_the_same_however_it_comes(ways: Ways, sizes: int) -> None:
    rows = 1 if sizes < 1000 else 8000
    sent = request(V2, {"id": "p", "inputs": [{**TENSOR, "shape": [rows, 4], "data": IRIS * rows}]})
    await answers(ways.direct, [request(V2, {"inputs": [TENSOR]})])
    packets = [sent[at : at + sizes] for at in range(0, len(sent), sizes)]
    (direct,), _, by = await answers(ways.direct, packets)
    (asgi,), _, _ = await answers(ways.asgi, [sent])
    assert direct == asgi
    assert by is Direct


async def test_requests_that_come_together_are_answered_in_turn(ways: Ways) -> None:
    sent = [request(V1, {"instances": [row]}) for row in (IRIS, [6.0, 2.8, 4.8, 1.6], [1, 2])]
    await answers(ways.direct, [sent[0]])
    expected = [(await answers(ways.asgi, [one]))[0][0] for one in sent]
    found, closed, _ = await answers(ways.direct, [b"".join(sent * 5)], count=15)
    assert found == expected * 5
    assert not closed


OTHERS = {
    "HTTP/1.0": request(V1, GOOD, version="1.0"),
    "chunks": b"POST %b HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n" % V1.encode(),
    "an offer": request(V1, GOOD, "connection: upgrade", "upgrade: h2c"),
    "too large": request(V1, b" " * (LIMIT + 1)),
    "an unknown model": request("/v1/models/nobody:predict", GOOD),
    "an unknown version": request("/v1/models/iris/versions/77:predict", GOOD),
}


@pytest.mark.parametrize("sent", OTHERS.values(), ids=OTHERS)
async def test_all_else_is_left_to_the_app(ways: Ways, sent: bytes) -> None:
    await answers(ways.direct, [request(V1, GOOD)])
    direct, closed, by = await answers(ways.direct, [sent])
    assert (direct, closed) == (await answers(ways.asgi, [sent]))[:2]
    assert by is not Direct


async def test_an_expectation_is_met_by_the_app(ways: Ways) -> None:
    await answers(ways.direct, [request(V1, GOOD)])
    reader, writer = await asyncio.open_connection("127.0.0.1", ways.direct.port)
    whole = request(V1, GOOD, "expect: 100-continue")
    head, _, body = whole.partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_is_counted_as_gone(ways: Ways) -> None:
    await answers(ways.direct, [request(V1, GOOD)])
    unrouted = ways.system.metrics.unrouted_requests.labels("499")
    before = unrouted.value
    _, writer = await asyncio.open_connection("127.0.0.1", ways.direct.port)
    writer.write(request(V1, GOOD)[:-3])
    await until(lambda: any(map(_reads_a_body, _connections(ways.direct))), "the rest to be waited for")
    writer.close()
    await until(lambda: unrouted.value == before + 1, "it to be counted")


def _reads_a_body(connection: Connection) -> bool:
    return isinstance(connection.cycle, Direct) and not connection.cycle.response_complete


async def exchanged(way: Way, *packets: bytes) -> tuple[list[bytes], list[str]]:
    """What comes back for requests of one connection, one after the other, and whether their heads were known."""
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    found: list[bytes] = []
    known: list[str] = []
    try:
        for packet in packets:
            writer.write(packet)
            found.append(await _read(reader))
            port = writer.get_extra_info("sockname")[1]
            mine = [one for one in _connections(way) if one.client and one.client[1] == port]
            known.extend("known" if one._new_heads == 0 else "read" for one in mine)
        return found, known
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_head_that_came_before_is_read_no_more(ways: Ways) -> None:
    sent = [
        request(V1, {"instances": [row]}, "x-client: one") for row in (IRIS, [6.0, 2.8, 4.8, 1.6], [5.9, 3, 5.1, 1.8])
    ]
    await answers(ways.direct, [request(V1, GOOD)])
    found, how = await exchanged(ways.direct, sent[0], sent[1], sent[0], b"\r\n" + sent[0], sent[0])
    expected, _ = await exchanged(ways.asgi, sent[0], sent[1], sent[0], sent[0], sent[0])
    assert found == expected
    assert how == ["read", "known", "known", "read", "known"]


CONFUSING = {
    "more behind it": lambda one: [one + one[:20], one[20:]],
    "a body in parts": lambda one: [one[:-5], one[-5:]],
    "a head in parts": lambda one: [one[:30], one[30:]],
    "two at once": lambda one: [one + one],
    "one that lacks its end, then one": lambda one: [one + one[:-1], one[-1:]],
}


@pytest.mark.parametrize("cut", CONFUSING.values(), ids=CONFUSING)
async def test_only_whole_requests_are_known_by_their_heads(ways: Ways, cut: Callable[[bytes], list[bytes]]) -> None:
    one = request(V1, GOOD, "x-client: two")
    (expected,), _, _ = await answers(ways.asgi, [one])
    for _ in range(2):
        await answers(ways.direct, [one])
        packets = cut(one)
        count = sum(map(len, packets)) // len(one)
        found, closed, _ = await answers(ways.direct, packets, count=count)
        assert (found, closed) == ([expected] * count, False)
    again, _, _ = await answers(ways.direct, [one])
    assert again == [expected]


@pytest.mark.parametrize("rows", [1, 8000])
@pytest.mark.parametrize("behind", [False, True], ids=["alone", "and one behind it"])
async def test_a_body_that_comes_in_parts_behind_a_known_head_is_read_by_nobody_else(
    ways: Ways, rows: int, behind: bool
) -> None:
    tensor = {**TENSOR, "shape": [rows, 4], "data": IRIS * rows}
    one = request(V2, {"id": "k", "inputs": [tensor]}, f"x-client: parts of {rows}")
    after = request(V1, GOOD, "x-client: after")
    head = one.index(b"\r\n\r\n") + 4
    await answers(ways.direct, [request(V2, {"inputs": [TENSOR]})])
    await answers(ways.direct, [request(V1, GOOD)])
    (expected,), _, _ = await answers(ways.asgi, [one])
    (then,), _, _ = await answers(ways.asgi, [after])
    reader, writer = await asyncio.open_connection("127.0.0.1", ways.direct.port)
    port = writer.get_extra_info("sockname")[1]
    writer.write(one)  # its head is known from here on, if it came whole
    await _read(reader)
    (mine,) = [each for each in _connections(ways.direct) if each.client and each.client[1] == port]
    heads = 0
    for cut in (head, head + 1, (head + len(one)) // 2, len(one) - 1):
        writer.write(one[:cut])
        await until(lambda cut=cut: len(one) - cut == mine._missing, "the first part")  # type: ignore[misc]
        heads += mine._new_heads
        writer.write(one[cut:] + (after if behind else b""))
        assert await _read(reader) == expected
        if behind:
            assert await _read(reader) == then
        assert (mine._missing, mine.held) == (0, 0)
    assert heads == 0
    writer.close()
    await writer.wait_closed()
    await until(lambda: ways.direct.door.receiving == 0, "nothing to be held")


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return _without_chance(head) + _without_chance(await reader.readexactly(int(length[1]) if length else 0))


async def test_a_client_that_leaves_amid_the_body_of_a_known_head_is_counted_as_gone(ways: Ways) -> None:
    one = request(V1, GOOD, "x-client: leaves")
    await answers(ways.direct, [request(V1, GOOD)])
    await answers(ways.direct, [one])
    unrouted = ways.system.metrics.unrouted_requests.labels("499")
    before = unrouted.value
    _, writer = await asyncio.open_connection("127.0.0.1", ways.direct.port)
    writer.write(one[:-3])
    await until(lambda: any(each._missing == 3 for each in _connections(ways.direct)), "the rest to be waited for")
    writer.close()
    await until(lambda: unrouted.value == before + 1, "it to be counted")
    assert ways.direct.door.receiving == 0


async def test_a_head_that_ends_its_connection_is_read_each_time(ways: Ways) -> None:
    last = request(V1, GOOD, "connection: close", "x-client: three")
    await answers(ways.direct, [request(V1, GOOD)])
    for _ in range(3):
        assert (await answers(ways.direct, [last]))[1], "it was to be closed"


async def test_what_is_smuggled_behind_a_known_head_is_a_request_of_its_own(ways: Ways) -> None:
    """A second request whose declared length fits what came with the first must not become the first one's body."""
    first = request(V1, GOOD, "x-client: four")
    head = f"POST {V1} HTTP/1.1\r\nhost: models\r\n".encode()
    body = len(first) - first.index(b"\r\n\r\n") - 4
    length = next(n for n in range(100, 200) if body + len(head + b"content-length: %d\r\n\r\n" % n) < n)
    second = head + b"content-length: %d\r\n\r\n" % length
    part = b" " * (length - body - len(second))
    await answers(ways.direct, [request(V1, GOOD)])
    rest = b" " * (length - len(part))
    found, _, _ = await answers(ways.direct, [first + second + part, rest], count=2)
    assert [one.split(b" ", 2)[1] for one in found] == [b"200", b"400"]
    found, _, _ = await answers(ways.direct, [first + second + part, rest], count=2)
    assert [one.split(b" ", 2)[1] for one in found] == [b"200", b"400"]
