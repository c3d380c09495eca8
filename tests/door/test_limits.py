"""What one client, or all of them together, may ask of the door: sizes, times, numbers."""

import json
import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.door.raw import BODY, Client, Response, answer, chunked, connected, request
from tests.live import LiveServer, live_server, wait_until
from tests.models import dump, put
from tests.slow_model import SlowRegressor

REQUEST = request()
LARGE = BODY + b" " * 1_000_000


def refusal(client: Client, code: int, setting: str) -> Response:
    """The next answer, which is the last, and names the setting that it is about."""
    response = client.response()
    assert (response.status, response.closes) == (code, True)
    assert setting in response.json["error"]
    assert client.closed()
    return response


# sizes


@pytest.mark.parametrize("packets", [1, 3])
def test_headers_are_bounded_to_the_byte(api: str, packets: int) -> None:
    def padded(size: int) -> bytes:
        filler = size - len(request("a: ")) + len(BODY)
        return request(f"a: {'x' * filler}")

    def parts(sent: bytes) -> list[bytes]:
        step = -(-(len(sent) - len(BODY)) // packets)
        return [sent[at : at + step] for at in range(0, len(sent), step)]

    assert answer(api, *parts(padded(32_768))).status == 200
    with connected(api) as client:
        for part in parts(padded(32_769)):
            client.send(part)
        refusal(client, 431, "max_header_bytes")


def test_the_end_of_a_body_does_not_count_against_the_headers_behind_it(api: str) -> None:
    with connected(api) as client:
        client.send(request(body=LARGE) + REQUEST[:20])
        assert client.response().status == 200
        client.send(REQUEST[20:])
        assert client.response().status == 200


def test_an_endless_header_is_refused_after_32_kib_and_holds_nobody_up(server: LiveServer) -> None:
    with connected(server.server.api) as client:
        client.send(b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\na: ")
        sent = 0
        try:
            for _ in range(90):
                client.send(b"x" * 1_000_000)
                sent += 1
        except OSError:
            pass  # it was told
        assert server.predict("m", [[0.0, 0.0]]).status_code == 200
    with connected(server.server.api) as client:
        client.send(b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\na: " + b"x" * 100_000)
        refusal(client, 431, "max_header_bytes")


def test_the_number_of_headers_is_bounded(api: str) -> None:
    assert answer(api, request(*(f"a{number}: b" for number in range(98)))).status == 200  # and two of its own
    with connected(api) as client:
        client.send(request(*(f"a{number}: b" for number in range(99))))
        refusal(client, 431, "max_headers")
    with connected(api) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a:b\r\n" * 200)
        refusal(client, 431, "max_headers")
    with connected(api) as client:
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a:b\r\n" * 200_000)
        refusal(client, 431, "max_header")


def test_the_target_is_bounded(api: str) -> None:
    long = "/v1/models/" + "m" * (8192 - len("/v1/models/"))
    assert answer(api, request(method="GET", target=long, body=None)).status == 404
    for size in (1, 100_000):
        with connected(api) as client:
            client.send(request(method="GET", target=long + "m" * size, body=None))
            refusal(client, 414, "8192 bytes")


def test_a_client_that_sends_on_reads_why_its_body_is_too_large(strict: LiveServer) -> None:
    """The answer of a connection that is closed over unread bytes is lost to a reset."""
    with connected(strict.server.api) as client:
        client.send(request("content-length: 10000000", body=None, host="127.0.0.1"))
        for _ in range(20):
            client.send(b" " * 100_000)
        response = client.response()
        assert (response.status, response.closes) == (413, True)


@pytest.mark.parametrize("endless", [b"1;a=", b"0\r\nx-a: "], ids=["extension", "trailer"])
def test_what_surrounds_chunks_is_bounded(api: str, endless: bytes) -> None:
    with connected(api) as client:
        client.send(request("transfer-encoding: chunked", body=endless))
        for _ in range(4):
            client.send(b"x" * 32_768)
        refusal(client, 400, "max_header_bytes")


def test_large_chunked_bodies_are_read_whatever_the_packets(api: str) -> None:
    sent = request(
        "transfer-encoding: chunked", body=chunked(*(LARGE[at : at + 100_000] for at in range(0, len(LARGE), 100_000)))
    )
    expected = answer(api, request(body=LARGE))
    assert expected.status == 200
    for step in (len(sent), 99_991, 70_001):
        with connected(api) as client:
            for at in range(0, len(sent), step):
                client.send(sent[at : at + step])
            assert client.response()[::2] == expected[::2]


# hosts


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("models.example", 200),
        ("MODELS.example:8080", 200),
        ("models.example.", 200),
        ("a.shop.example", 200),
        ("a.b.shop.example", 200),
        ("shop.example", 421),
        ("evilmodels.example", 421),
        ("models.example.evil", 421),
        ("notshop.example", 421),
        ("", 421),
    ],
)
def test_only_hosts_that_are_allowed_are_answered(strict: LiveServer, host: str, code: int) -> None:
    response = answer(strict.server.api, request(host=host))
    assert response.status == code
    if code == 421:
        assert "allowed_hosts" in response.json["error"]
    assert (
        answer(strict.server.api, request(target="http://evil/v1/models/m:predict", host="models.example")).status
        == 421
    )
    assert (
        answer(strict.server.addresses["admin"], request(method="GET", target="/metrics", body=None, host=host)).status
        == 200
    )


# times


@pytest.mark.parametrize(
    ("sent", "setting"),
    [
        (b"P", "header_timeout_s"),
        (request(host="127.0.0.1")[:40], "header_timeout_s"),
        (request(host="127.0.0.1")[:-1], "body_timeout_s"),
        (request("transfer-encoding: chunked", body=b"5\r\nabc", host="127.0.0.1"), "body_timeout_s"),
    ],
    ids=["one byte", "headers", "body", "chunk"],
)
def test_who_stalls_is_told_and_cut_off(strict: LiveServer, sent: bytes, setting: str) -> None:
    before = strict.metric("model_manager_unrouted_requests_total", code="408")
    with connected(strict.server.api) as client:
        client.send(sent)
        refusal(client, 408, setting)
    assert strict.metric("model_manager_unrouted_requests_total", code="408") == before + 1


def test_who_stalls_behind_a_head_that_came_before_is_cut_off_too(strict: LiveServer) -> None:
    sent = request("x-client: stalls", host="127.0.0.1")
    with connected(strict.server.api) as client:
        for _ in range(3):
            client.send(sent)
            assert client.response().status == 200
        client.send(sent[:-1])
        refusal(client, 408, "body_timeout_s")


def test_who_drips_is_cut_off_too(strict: LiveServer) -> None:
    sent = request("a: " + "x" * 10_000, host="127.0.0.1")
    with connected(strict.server.api) as client:
        client.socket.settimeout(0.05)
        for number in range(len(sent)):
            client.send(sent[number : number + 1])
            try:
                response = client.response()
                break
            except TimeoutError:
                continue
        assert response.status == 408


@pytest.mark.parametrize(
    "first", [b"", request(host="127.0.0.1"), b"\r\n"], ids=["silent", "after an answer", "blank lines"]
)
def test_idle_connections_are_closed_without_a_word(strict: LiveServer, first: bytes) -> None:
    with connected(strict.server.api) as client:
        client.send(first)
        if len(first) > 2:
            assert client.response().status == 200
        assert client.closed()


def test_an_answer_that_takes_long_is_no_idle_connection(tmp_path: Path) -> None:
    model = SlowRegressor(str(tmp_path / "gate"), str(tmp_path / "entered")).fit([[0.0, 0.0]], [0.0])
    model.open()
    put(tmp_path / "models", "m", "1", dump(model))
    short: dict[str, Any] = {"keep_alive_s": 1, "header_timeout_s": 1, "body_timeout_s": 1, "timeout_ms": 60_000}
    with live_server(tmp_path / "models", **short) as server, connected(server.server.api) as client:
        model.shut()
        client.send(request())
        wait_until(model.entered, "the request to reach the model")
        for _ in range(2):
            with connected(server.server.api) as idle:
                assert idle.closed()
        model.open()
        assert client.response().json == {"predictions": [0.0]}


def test_who_takes_nothing_of_its_answers_is_dropped(strict: LiveServer) -> None:
    """With pipelined requests, so that answers are more than the kernel takes."""
    address = ("127.0.0.1", strict.api.base_url.port or 0)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(address)
        slow.settimeout(0.5)
        rows = json.dumps({"instances": [[0.0, 0.0]] * 9000}).encode()
        try:
            while True:
                slow.sendall(request(body=rows, host="127.0.0.1"))
        except TimeoutError:
            pass  # it reads no further
        except OSError:
            return  # dropped already
        wait_until(lambda: _is_dropped(slow), "the server to drop it")


def _is_dropped(connection: socket.socket) -> bool:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


# numbers


def test_connections_beyond_the_most_are_refused_politely_and_let_in_again(strict: LiveServer) -> None:
    address = strict.server.api
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(address)) for _ in range(8)]
        for client in clients:
            client.send(request(host="127.0.0.1"))
        answers = [client.response() for client in clients]
        busy = [each for each in answers if each.status == 503]
        assert len(busy) <= 1  # the test's own client may hold a connection
        with connected(address) as late:
            late.send(request(host="127.0.0.1"))
            response = refusal(late, 503, "max_connections")
            assert response.headers["retry-after"] == "1"
    wait_until(lambda: strict.predict("m", [[0.0, 0.0]]).status_code == 200, "room")


def test_bodies_under_way_are_bounded_together_and_small_ones_get_through(strict: LiveServer) -> None:
    address = strict.server.api
    head = request("content-length: 300000", body=None, host="127.0.0.1")
    with connected(address) as first, connected(address) as second:
        first.send(head + b" " * 290_000)
        second.send(head + b" " * 100_000)
        small = request(host="127.0.0.1")
        with connected(address) as client:
            for at in (1, 40, len(small) - 5):
                client.send(small[:at])
                client.send(small[at:])
                assert client.response().status == 200
        second.send(b" " * 50_000)
        response = refusal(first, 503, "max_receiving_bytes")  # the largest
        assert response.headers["retry-after"] == "1"
        second.send((b" " * 150_000)[: 300_000 - 150_000 - len(BODY)] + BODY)
        assert second.response().json == {"predictions": [1.0]}


def test_no_time_is_held_against_a_client_while_the_loop_is_held_up(strict: LiveServer) -> None:
    sent = request(host="127.0.0.1")
    with connected(strict.server.api) as client:
        client.send(sent[:-1])
        os.kill(strict.process.pid, signal.SIGSTOP)
        try:
            client.send(sent[-1:])
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 2.5, "longer than body_timeout_s")
        finally:
            os.kill(strict.process.pid, signal.SIGCONT)
        assert client.response().status == 200
