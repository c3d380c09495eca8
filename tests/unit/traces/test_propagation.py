"""Which trace a request joins or begins, by its caller's headers, and which requests are recorded."""

from time import perf_counter

import pytest
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import FROM_W3C, PARENT, TRACE, Headers, begin, finish, received, recorded, started
from tools.otlp_receiver import OtlpReceiver


@pytest.mark.parametrize(
    "headers",
    [
        FROM_W3C,
        [(b"b3", f"{TRACE}-{PARENT}-1".encode())],
        [(b"b3", f"{TRACE}-{PARENT}-d".encode())],
        [(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", PARENT.encode()), (b"x-b3-sampled", b"1")],
        [(b"x-b3-traceid", TRACE.upper().encode()), (b"x-b3-spanid", PARENT.encode()), (b"x-b3-flags", b"1")],
        [(b"b3", b"00000000000000010000000000000002-0000000000000003-0"), *FROM_W3C],
    ],
    ids=["W3C", "b3", "b3 debug", "x-b3", "x-b3 debug in capitals", "W3C holds over b3"],
)
def test_a_request_joins_its_callers_trace(tracing: Tracing, receiver: OtlpReceiver, headers: Headers) -> None:
    finish(recorded(tracing, headers))
    (span,) = received(tracing, receiver)
    assert (span["trace_id"], span["parent_span_id"]) == (TRACE, PARENT)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())],
        [(b"b3", f"{TRACE}-{PARENT}-0".encode())],
        [(b"b3", b"0")],
        [(b"x-b3-traceid", TRACE.encode()), (b"x-b3-spanid", PARENT.encode()), (b"x-b3-sampled", b"0")],
        [(b"x-b3-sampled", b"0")],
        [(b"b3", f"{TRACE.upper()}-{PARENT}-0".encode())],
    ],
    ids=["W3C", "b3", "b3 alone", "x-b3", "x-b3-sampled alone", "b3 in capitals"],
)
def test_a_trace_that_the_caller_does_not_record_is_not_recorded(
    tracing: Tracing, receiver: OtlpReceiver, headers: Headers
) -> None:
    assert begin(tracing, headers) is None
    assert received(tracing, receiver) == []


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"")],
        [(b"traceparent", b"\xff\xfe")],
        [(b"traceparent", f"00-{'0' * 32}-{PARENT}-01".encode())],
        [(b"traceparent", f"ff-{TRACE}-{PARENT}-01".encode())],
        [(b"traceparent", b"0" * 4096)],
        [(b"tracestate", b"=,=,=")],
        [(b"b3", b"-"), (b"x-b3-traceid", b"x")],
        [(b"b3", f"{'0' * 32}-{PARENT}-1".encode())],
        [(b"x-b3-spanid", PARENT.encode())],
    ],
)
def test_malformed_headers_begin_a_trace_of_their_own_and_fill_no_log(
    tracing: Tracing, receiver: OtlpReceiver, headers: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    finish(recorded(tracing, headers))
    (span,) = received(tracing, receiver)
    assert span["parent_span_id"] == ""
    assert span["trace_id"] != TRACE
    assert caplog.records == []


def test_every_trace_of_its_own_has_an_id_of_its_own(tracing: Tracing) -> None:
    load = tracing.load("iris", "2", perf_counter())
    assert load is not None
    traces = [recorded(tracing, headers) for headers in ([], [(b"traceparent", b"?")], [], [(b"b3", b"?")])]
    later = tracing.load("iris", "3", perf_counter())
    assert later is not None
    ids = {load.trace_id, later.trace_id, *(trace.trace_id for trace in traces)}
    assert len(ids) == 6


def test_a_malformed_tracestate_costs_only_itself(
    tracing: Tracing, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    finish(recorded(tracing, [FROM_W3C[0], (b"tracestate", b"=,\xff=,a" * 1000)]))
    (span,) = received(tracing, receiver)
    assert span["trace_id"] == TRACE
    assert caplog.records == []


def test_otel_propagators_decides_what_is_read(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    b3 = [(b"b3", f"{TRACE}-{PARENT}-1".encode())]
    for propagators, w3c_is_read, b3_is_read in [("tracecontext,baggage", 1, 0), ("b3", 0, 1), ("none", 0, 0)]:
        monkeypatch.setenv("OTEL_PROPAGATORS", propagators)
        tracing = next(started())
        for headers, is_read in ((FROM_W3C, w3c_is_read), (b3, b3_is_read)):
            trace = recorded(tracing, headers)
            assert (trace.trace_id == TRACE) == bool(is_read)
            finish(trace)
        tracing.shutdown(20)


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio"])
def test_the_ratio_that_is_asked_for_is_recorded(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.1")
    tracing = next(started())
    traces = [trace for trace in (begin(tracing) for _ in range(20_000)) if trace is not None]
    assert 1700 < len(traces) < 2300  # seven standard deviations
    assert all(int(trace.trace_id[16:], 16) < 0.1 * 2**64 for trace in traces)
    assert len({trace.trace_id for trace in traces}) == len(traces)
    unlucky = [(b"traceparent", f"00-{'f' * 32}-{PARENT}-01".encode())]
    assert (begin(tracing, unlucky) is None) == (sampler == "traceidratio")
    tracing.shutdown(20)
