"""Compressed bodies: every form that clients send is inflated within bounds, and who takes what is told apart."""

import gzip
import zlib

import pytest
from model_manager.api.compression import accepted, inflated, plain_body
from model_manager.errors import BodyTooLarge, InvalidInput, UnsupportedContent

TEXT = b'{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
BARE = zlib.compressobj(wbits=-15)
RAW = BARE.compress(TEXT) + BARE.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT[:9], mtime=0) + gzip.compress(TEXT[9:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW),
    ],
)
def test_what_clients_send_is_inflated(coding: str, body: bytes) -> None:
    assert inflated(body, limit=len(TEXT), coding=coding) == TEXT
    with pytest.raises(BodyTooLarge):
        inflated(body, limit=len(TEXT) - 1, coding=coding)
    with pytest.raises(InvalidInput, match="ends before that does"):
        inflated(body[:-3], limit=len(TEXT), coding=coding)


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = gzip.compress(bytes(5_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(BodyTooLarge):
        inflated(bomb, limit=1000, coding="gzip")
    parts = gzip.compress(bytes(600)) * 2
    with pytest.raises(BodyTooLarge):
        inflated(parts, limit=1000, coding="gzip")


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(TEXT, mtime=0) + b"rubbish", b"\x1f\x8b"])
def test_what_is_not_compressed_is_named(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="declared to be gzip"):
        inflated(body, limit=1000, coding="gzip")


async def test_headers_lose_what_no_longer_holds() -> None:
    body = gzip.compress(TEXT, mtime=0)
    for coding in (b"gzip", b"X-GZIP", b"identity, gzip"):
        headers = [(b"content-encoding", coding), (b"content-length", b"%d" % len(body)), (b"id", b"1")]
        assert await plain_body(headers, body, limit=1000) == ([(b"id", b"1")], TEXT)
    assert await plain_body([(b"content-encoding", b"identity")], TEXT, limit=1000) == (
        [(b"content-encoding", b"identity")],
        TEXT,
    )
    for other in (b"br", b"zstd", b"gzip, gzip"):
        with pytest.raises(UnsupportedContent, match="send one of gzip and deflate"):
            await plain_body([(b"content-encoding", other)], body, limit=1000)


@pytest.mark.parametrize(
    ("said", "coding"),
    [
        (b"", None),
        (b"gzip", b"gzip"),
        (b"gzip, deflate", b"gzip"),
        (b"deflate, gzip;q=0.5", b"deflate"),
        (b"br;q=1.0, GZIP;q=0.8, *;q=0.1", b"gzip"),
        (b"*", b"gzip"),
        (b"*;q=0", None),
        (b"gzip;q=0", None),
        (b"gzip; q=0, deflate", b"deflate"),
        (b"identity, gzip;q=0.5", None),
        (b"gzip;q=x", None),
        (b"br", None),
    ],
)
def test_the_coding_is_the_one_that_the_client_likes_best(said: bytes, coding: bytes | None) -> None:
    assert accepted([(b"accept-encoding", said)]) == coding


def test_who_says_nothing_gets_plain_bytes() -> None:
    assert accepted([]) is None
