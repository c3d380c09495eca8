"""The caller's trace as headers name it: what log lines say of it, and whether the caller records it."""

import pytest
from model_manager.traces import trace_fields
from model_manager.traces.headers import DENIED, UNCLEAR, Caller, b3, present, w3c

TRACE, SPAN, OTHER = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331", b"00f067aa0ba902b7"
SHORT = TRACE[16:]
Headers = list[tuple[bytes, bytes]]

JOINED = {"trace_id": TRACE.decode(), "span_id": SPAN.decode()}
JOINED_SHORT = {"trace_id": SHORT.decode().zfill(32), "span_id": SPAN.decode()}


def traceparent(value: bytes) -> Headers:
    return [(b"host", b"iris"), (b"traceparent", value)]


def single(value: bytes) -> Headers:
    return [(b"b3", value), (b"host", b"iris")]


def multi(trace_id: bytes | None, span_id: bytes | None, **more: bytes) -> Headers:
    ids = [(b"x-b3-traceid", trace_id), (b"x-b3-spanid", span_id)]
    return [(name, value) for name, value in ids if value is not None] + [
        (b"x-b3-" + name.encode(), value) for name, value in more.items()
    ]


WELL_FORMED = {
    "w3c, recorded": (traceparent(b"00-%s-%s-01" % (TRACE, SPAN)), JOINED, True),
    "w3c, not recorded": (traceparent(b"00-%s-%s-00" % (TRACE, SPAN)), JOINED, False),
    "w3c, another flag": (traceparent(b"00-%s-%s-02" % (TRACE, SPAN)), JOINED, False),
    "w3c, a later version": (traceparent(b"01-%s-%s-01" % (TRACE, SPAN)), JOINED, True),
    "w3c, a later version that says more": (traceparent(b"cc-%s-%s-01-what-comes" % (TRACE, SPAN)), JOINED, True),
    "b3": (single(b"%s-%s-1" % (TRACE, SPAN)), JOINED, True),
    "b3, not recorded": (single(b"%s-%s-0" % (TRACE, SPAN)), JOINED, False),
    "b3, debug": (single(b"%s-%s-d" % (TRACE, SPAN)), JOINED, True),
    "b3, deferred": (single(b"%s-%s" % (TRACE, SPAN)), JOINED, True),
    "b3, with its parent": (single(b"%s-%s-1-%s" % (TRACE, SPAN, OTHER)), JOINED, True),
    "b3, 64 bits": (single(b"%s-%s-1" % (SHORT, SPAN)), JOINED_SHORT, True),
    "b3, in capitals": (single(b"%s-%s-1" % (TRACE.upper(), SPAN.upper())), JOINED, True),
    "x-b3": (multi(TRACE, SPAN, sampled=b"1"), JOINED, True),
    "x-b3, not recorded": (multi(TRACE, SPAN, sampled=b"0"), JOINED, False),
    "x-b3, deferred": (multi(TRACE, SPAN), JOINED, False),
    "x-b3, in words": (multi(TRACE, SPAN, sampled=b"true"), JOINED, True),
    "x-b3, debug": (multi(TRACE, SPAN, flags=b"1"), JOINED, True),
    "x-b3, no debug": (multi(TRACE, SPAN, sampled=b"1", flags=b"0"), JOINED, True),
    "x-b3, 64 bits in capitals": (multi(SHORT.upper(), SPAN.upper(), sampled=b"1"), JOINED_SHORT, True),
}

MALFORMED = {
    "w3c, of three words": traceparent(b"a-hello-world-d"),
    "w3c, empty": traceparent(b""),
    "w3c, in capitals": traceparent(b"00-%s-%s-01" % (TRACE.upper(), SPAN)),
    "w3c, short": traceparent(b"00-%s-%s-01" % (SHORT, SPAN)),
    "w3c, trace 0": traceparent(b"00-%s-%s-01" % (b"0" * 32, SPAN)),
    "w3c, span 0": traceparent(b"00-%s-%s-01" % (TRACE, b"0" * 16)),
    "w3c, version ff": traceparent(b"ff-%s-%s-01" % (TRACE, SPAN)),
    "w3c, version 00 that says more": traceparent(b"00-%s-%s-01-more" % (TRACE, SPAN)),
    "w3c, other bytes": traceparent(b"\xff\xfe-\xff-\xff-\xff"),
    "b3, of three words": single(b"hello-world-d"),
    "b3, of four words": single(b"a-hello-world-d"),
    "b3, empty": single(b""),
    "b3, 80 bits": single(b"%s-%s-1" % (TRACE[:20], SPAN)),
    "b3, trace 0": single(b"%s-%s-1" % (b"0" * 32, SPAN)),
    "b3, span 0": single(b"%s-%s-1" % (TRACE, b"0" * 16)),
    "x-b3, words": multi(b"hello", b"world"),
    "x-b3, no trace": multi(None, SPAN),
    "x-b3, no span": multi(TRACE, None),
    "x-b3, trace 0": multi(b"0" * 16, SPAN),
}


@pytest.mark.parametrize("name", WELL_FORMED)
def test_ids_are_told_as_a_collector_knows_them(name: str) -> None:
    headers, fields, _ = WELL_FORMED[name]
    assert trace_fields(headers, None) == fields


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_id_is_told_as_none(name: str) -> None:
    assert trace_fields(MALFORMED[name], None) == {}


@pytest.mark.parametrize("headers", [[], single(b"0"), single(b"d"), multi(None, None, sampled=b"0")])
def test_without_ids_there_is_nothing_to_tell(headers: Headers) -> None:
    assert trace_fields(headers, None) == {}


@pytest.mark.parametrize("capital", [bytes, bytes.upper])
def test_of_two_formats_w3c_holds_and_of_two_headers_the_first(capital: object) -> None:
    other = b"%s-%s-1" % (OTHER, OTHER)
    both = [
        *single(other),
        *traceparent(b"00-%s-%s-00" % (TRACE, SPAN)),
        *traceparent(b"00-%s-%s-01" % (b"1" * 32, SPAN)),
    ]
    assert trace_fields(both, None) == JOINED
    assert trace_fields([*single(b"%s-%s-1" % (TRACE, SPAN)), *multi(OTHER, OTHER)], None) == JOINED


def test_where_one_format_is_malformed_the_other_holds() -> None:
    assert trace_fields([*traceparent(b"a-hello-world-d"), *single(b"%s-%s-1" % (TRACE, SPAN))], None) == JOINED


@pytest.mark.parametrize("name", WELL_FORMED)
def test_whether_the_caller_records_is_plain_where_headers_are_well_formed(name: str) -> None:
    headers, fields, recorded = WELL_FORMED[name]
    assert seen(headers)[2] is recorded
    assert int(seen(headers)[0], 16) == int(fields["trace_id"], 16)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_headers_are_left_to_the_sdk(name: str) -> None:
    assert seen(MALFORMED[name]) is UNCLEAR


@pytest.mark.parametrize("headers", [single(b"0"), multi(None, None, sampled=b"0")])
def test_b3_may_deny_a_trace_without_naming_one(headers: Headers) -> None:
    assert seen(headers) is DENIED


def seen(headers: Headers) -> Caller:
    found = present(headers)
    assert found is not None
    caller = w3c(found) or b3(found)
    assert caller is not None
    return caller
