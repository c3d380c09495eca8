"""What is not HTTP to the letter is refused, for a proxy in front may read it otherwise than we do."""

import re

import pytest

from tests.door.raw import BODY, Response, answer, chunked, connected, request
from tests.live import LiveServer

LINE = b"POST /v1/models/m:predict HTTP/1.1\r\n"
END = b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY)
HEAD = LINE + b"host: x\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"

MALFORMED = {
    "length and encoding": HEAD + b"transfer-encoding: chunked\r\n" + END,
    "encoding after length": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 3\r\n" + END,
    "one length twice": HEAD + b"content-length: %d\r\n" % len(BODY) + END,
    "a list of lengths": HEAD + b"content-length: 3, 3\r\n\r\nabc",
    "a signed length": HEAD + b"content-length: +3\r\n\r\nabc",
    "a negative length": HEAD + b"content-length: -3\r\n\r\nabc",
    "a hexadecimal length": HEAD + b"content-length: 0x3\r\n\r\nabc",
    "an empty length": HEAD + b"content-length:\r\n\r\n",
    "a length beyond numbers": HEAD + b"content-length: 99999999999999999999999\r\n\r\n",
    "bare LF after the request line": LINE.replace(b"\r", b"") + b"host: x\r\n" + END,
    "bare LF after a header": HEAD + b"a: b\n" + END,
    "bare LF at the end of headers": HEAD + b"content-length: 3\r\n\nabc",
    "bare CR in a header": HEAD + b"a: b\rc: d\r\n" + END,
    "a folded header": HEAD + b"a: b\r\n c\r\n" + END,
    "a folded length": HEAD + b"content-length:\r\n 3\r\n\r\nabc",
    "a space before the colon": HEAD + b"content-length : 3\r\n\r\nabc",
    "a space before the first header": LINE + b" host: x\r\n" + END,
    "a header without a name": HEAD + b": b\r\n" + END,
    "a header without a colon": HEAD + b"abc\r\n" + END,
    "NUL in a name": HEAD + b"a\0: b\r\n" + END,
    "no Host": LINE + END,
    "two Hosts": HEAD + b"host: y\r\n" + END,
    "one Host twice": HEAD + b"host: x\r\n" + END,
    "a Host that is none": LINE + b"host: x/y\r\n" + END,
    "a Host with a user": LINE + b"host: a@x\r\n" + END,
    "a Host with a space": LINE + b"host: a b\r\n" + END,
    "encoding in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + chunked(BODY),
    "an encoding that does not end in chunks": HEAD + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "two encodings": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "nearly chunked": HEAD + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-1\r\n",
    "a signed chunk": CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
    "a chunk with 0x": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "a space after a chunk's size": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "a chunk beyond numbers": CHUNKED + b"fffffffffffffffff\r\n",
    "a chunk without a size": CHUNKED + b"\r\n\r\n",
    "bare LF after a chunk's size": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "bare LF after a chunk": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "nothing after a chunk": CHUNKED + b"1\r\na0\r\n\r\n",
    "bare LF in a chunk's extension": CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "bare CR in a chunk's extension": CHUNKED + b"1;a\rb\r\na\r\n0\r\n\r\n",
    "a length among trailers": CHUNKED + b"1\r\na\r\n0\r\ncontent-length: 3\r\n\r\n",
    "a control character in the target": b"GET /\x01 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a byte beyond ASCII in the target": b"GET /\xe9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a fragment in the target": b"GET /v2#a HTTP/1.1\r\nhost: x\r\n\r\n",
    "a user in the target": b"GET http://a:b@x/v2 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method in lower case": b"get /v2 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a space after the version": b"GET /v2 HTTP/1.1 \r\nhost: x\r\n\r\n",
    "a handshake of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    **{f"control character {number}": HEAD + b"a: b%cc\r\n" % number + END for number in (*range(9), 11, 12, 27, 127)},
}
OTHERS = {
    "an encoding inside chunks": (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer-encoding"),
    "an encoding without chunks": (HEAD + b"transfer-encoding: gzip\r\n\r\n", "transfer-encoding"),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1"),
    "HTTP/2 in words": (b"GET / HTTP/2.0\r\nhost: x\r\n\r\n", "HTTP/1.1"),
    "HTTP/0.9": (b"GET /\r\n\r\n", "HTTP/1.1"),
    "HTTP/0.9 in words": (b"GET / HTTP/0.9\r\n\r\n", "HTTP/1.1"),
}


NO_REQUESTS = {
    "an unknown method": (b"BREW /v2 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    "bare LF": (b"GET /v2 HTTP/1.1\nhost: x\n\n", 400),
    "a query of 200 KB": (b"GET /v2?" + b"q" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
    "a header of 200 KB": (b"GET /v2 HTTP/1.1\r\nhost: x\r\na: " + b"b" * 200_000 + b"\r\n\r\n", 431),
    "no Host": (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
    "an expectation": (b"GET /v2 HTTP/1.1\r\nhost: x\r\nexpect: tea\r\n\r\n", 417),
}


def refused(address: str, sent: bytes, code: int) -> Response:
    """Send it with a request behind, which must not be answered."""
    with connected(address) as client:
        client.send(sent + request())
        response = client.response()
        assert client.closed()
    assert (response.status, response.closes) == (code, True)
    assert response.headers["content-type"] == "application/json"
    assert list(response.json) == ["error"]
    assert "server" not in response.headers
    assert "date" in response.headers
    return response


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_400_and_the_end_of_the_connection(api: str, sent: bytes) -> None:
    refused(api, sent, 400)


@pytest.mark.parametrize(("sent", "says"), OTHERS.values(), ids=OTHERS)
def test_what_is_not_spoken_here_says_so_and_is_no_fault_of_ours(api: str, sent: bytes, says: str) -> None:
    assert says in refused(api, sent, 400).json["error"]


@pytest.mark.parametrize(("sent", "code"), NO_REQUESTS.values(), ids=NO_REQUESTS)
def test_what_no_route_was_asked_is_refused_in_the_words_of_routes(api: str, sent: bytes, code: int) -> None:
    response = answer(api, sent)
    assert (response.status, response.closes, list(response.json)) == (code, True, ["error"])
    assert response.headers["content-type"] == "application/json"


PATHS = ("/v1/models/m:predict", "/v1/models/m/versions/1:predict", "/v2/models/m/infer", "/v1/models/m", "/v2")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("end", ["%0A", "%0a%0a", "%0D", "%20", "%00"])
def test_a_path_with_something_behind_it_is_another_path(api: str, path: str, end: str) -> None:
    method = "POST" if path.endswith(("predict", "infer")) else "GET"
    for _ in range(2):  # and is not remembered as a path that was answered
        response = answer(api, request(method=method, target=path + end, body=BODY if method == "POST" else None))
        assert (response.status, list(response.json)) == (404, ["error"])


@pytest.mark.parametrize(
    ("target", "allowed"),
    [("*", "GET, HEAD, OPTIONS, POST"), ("/v2", "GET, HEAD, OPTIONS"), (PATHS[0], "OPTIONS, POST")],
)
def test_options_are_answered_by_what_may_be_asked(api: str, target: str, allowed: str) -> None:
    with connected(api) as client:
        for _ in range(2):
            client.send(request(method="OPTIONS", target=target, body=None))
            response = client.response()
            assert (response.status, response.headers["allow"], response.body) == (204, allowed, b"")
            assert not response.closes


def test_refusals_are_counted_and_quote_nothing_of_what_was_sent(server: LiveServer) -> None:
    before = server.metric("model_manager_unrouted_requests_total", code="400")
    response = refused(server.server.api, LINE + b"host: <script>\r\n" + END, 400)
    assert b"script" not in response.body
    assert server.metric("model_manager_unrouted_requests_total", code="400") == before + 1


@pytest.mark.parametrize(
    "sent",
    [
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"HTTP/1.1\r\nhost: x", b"HTTP/1.0"),
        request(target="http://x/v1/models/m:predict"),
        request("transfer-encoding: CHUNKED", body=chunked(BODY)),
        request("transfer-encoding: chunked", body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
        request("a: b\tc", "d:"),
        b"\r\n\r\n" + request(),
        request(host=""),
        request(host="[::1]:8080"),
        request(target="/v1/models/%6d:predict"),
    ],
    ids=[
        "1.0",
        "1.0 without Host",
        "absolute",
        "CHUNKED",
        "extension",
        "tab",
        "CRLF before",
        "no Host's name",
        "IPv6",
        "escaped",
    ],
)
def test_what_is_unusual_and_right_is_answered(api: str, sent: bytes) -> None:
    assert answer(api, sent).json == {"predictions": [1.0]}


def test_trailers_are_no_headers(api: str) -> None:
    """A codec that looks at headers once the body is there would find them among them."""
    trailers = [
        "content-type: text/plain",
        "content-encoding: gzip",
        "x-request-id: trailing",
        "host: y",
        "expect: 200-ok",
    ]
    sent = request("transfer-encoding: chunked", body=chunked(BODY, trailers=trailers))
    for parts in ((sent,), (sent[:-60], sent[-60:])):
        response = answer(api, *parts)
        assert (response.status, response.json) == (200, {"predictions": [1.0]})


def test_answers_to_pipelined_requests_come_in_order_and_what_is_wrong_comes_last(api: str) -> None:
    with connected(api) as client:
        good = [request(), request(method="GET", target="/v2", body=None), request(body=b"no JSON")]
        client.send(b"".join(good) + HEAD + b"a: b\n" + END)
        assert [client.response().status for _ in range(4)] == [200, 200, 400, 400]
        assert client.closed()


def test_pipelined_requests_are_bounded(api: str) -> None:
    with connected(api) as client:
        client.send(request() * 1000)
        statuses = []
        while (response := client.response()).status == 200:
            statuses.append(response.status)
        assert response.status == 400
        assert len(statuses) >= 128
        assert client.closed()


def test_a_request_id_cannot_split_an_answer_and_is_bounded(api: str) -> None:
    sent = request(method="POST", target="/v1/models/nobody:predict")
    for id, echoed in (("abc-123", True), ("a" * 128, True), ("a" * 129, False), ("caf\xe9", False), ("a b", False)):
        response = answer(api, sent.replace(b"host: x", b"host: x\r\nx-request-id: %b" % id.encode("latin-1")))
        assert response.status == 404
        assert (response.headers["x-request-id"] == id) is echoed
        assert re.fullmatch(r"[!-~]{1,128}", response.headers["x-request-id"])
    refused(api, HEAD + b"x-request-id: a\rset-cookie: b\r\n" + END, 400)
