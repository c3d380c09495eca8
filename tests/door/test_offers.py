"""An offer of another protocol is passed over, and the request served: RFC 9110 §7.8."""

import pytest

from tests.door.raw import BODY, answer, chunked, connected, request

H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA")
OFFERS = {
    "h2c of Java and curl": H2C,
    "websocket": ("connection: keep-alive, upgrade", "upgrade: websocket", "sec-websocket-version: 13"),
    "tls": ("upgrade: TLS/1.2", "connection: Upgrade"),
    "not offered to us": ("upgrade: h2c",),
}
FRAMED = {
    "content-length": request(*H2C),
    "chunked": request(*H2C, "transfer-encoding: chunked", body=chunked(BODY[:5], BODY[5:], trailers=["x-a: b"])),
    "no body": request(*H2C, method="GET", target="/v1/models", body=None),
}
NEXT = request(*H2C, method="GET", target="/v2", body=None)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_request_with_an_offer_is_answered_and_so_is_the_next(api: str, offer: tuple[str, ...]) -> None:
    with connected(api) as client:
        for _ in range(2):
            client.send(request(*offer))
            response = client.response()
            assert (response.status, response.json) == (200, {"predictions": [1.0]})


@pytest.mark.parametrize("framed", FRAMED.values(), ids=FRAMED)
def test_it_is_the_same_wherever_the_packets_are_split(api: str, framed: bytes) -> None:
    """Three requests on one connection, the first two with an offer; no byte of a body is taken for a request."""
    sent = framed + NEXT + request()
    expected = [answer(api, framed).json, answer(api, NEXT).json, {"predictions": [1.0]}]
    with connected(api) as client:
        for at in range(1, len(framed) + 40):
            client.send(sent[:at])
            client.send(sent[at:])
            answers = [client.response() for _ in expected]
            assert [each.status for each in answers] == [200, 200, 200], at
            assert [each.json for each in answers] == expected, at


def test_it_is_the_same_byte_by_byte(api: str) -> None:
    with connected(api) as client:
        for framed in (FRAMED["content-length"], FRAMED["chunked"]):
            for number in range(len(framed)):
                client.send(framed[number : number + 1])
            assert client.response().json == {"predictions": [1.0]}


def test_a_body_that_looks_like_a_request_is_a_body(api: str) -> None:
    smuggled = request(method="GET", target="/v2/health/live", body=None)
    head = request(*H2C, f"content-length: {len(smuggled)}", body=None)
    with connected(api) as client:
        client.send(head)
        client.send(smuggled)
        assert client.response().status == 400  # no JSON
        client.send(request())
        assert client.response().json == {"predictions": [1.0]}


def test_an_offer_with_a_close_closes_after_the_answer(api: str) -> None:
    with connected(api) as client:
        client.send(request("connection: close, upgrade", "upgrade: h2c"))
        assert client.response().closes
        assert client.closed()


def test_connect_is_refused_and_what_follows_is_not_read(api: str) -> None:
    with connected(api) as client:
        client.send(b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n" + request())
        response = client.response()
        assert (response.status, response.closes) == (400, True)
        assert "CONNECT" in response.json["error"]
        assert client.closed()


def test_expectations(api: str) -> None:
    with connected(api) as client:
        client.send(
            request("expect: 100-continue", body=None, method="POST").replace(
                b"\r\n\r\n", b"\r\ncontent-length: %d\r\n\r\n" % len(BODY)
            )
        )
        assert client.response().status == 100
        client.send(BODY)
        assert client.response().json == {"predictions": [1.0]}
        client.send(request("expect: 200-ok"))
        refused = client.response()
        assert (refused.status, refused.closes) == (417, True)
    with connected(api) as client:  # 1.0 knows none
        client.send(request("expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert client.response().status == 200
