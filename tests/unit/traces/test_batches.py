"""A batch's spans, as a receiver gets them: one in the trace of each recorded request it served, all linked."""

import asyncio
from time import perf_counter

import pytest
from model_manager.errors import PredictionFailed
from model_manager.traces import batch_span
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import (
    finish,
    place,
    received,
    recorded,
)
from tools.otlp_receiver import OtlpReceiver


def test_a_batch_and_the_requests_it_served_link_each_other(tracing: Tracing, receiver: OtlpReceiver) -> None:
    traces = [recorded(tracing) for _ in range(3)]
    at = perf_counter()
    batch_span(traces, at, at + 0.002, model="iris", version="2", rows=12, requests=5)
    for trace in traces:
        finish(trace)
    spans = received(tracing, receiver)
    servers = {span["trace_id"]: span for span in spans if span["kind"] == "SERVER"}
    batches = {span["trace_id"]: span for span in spans if span["name"] == "batch"}
    first = batches[traces[0].trace_id]
    assert first["links"] == [place(servers[trace.trace_id]) for trace in traces]
    for trace in traces:
        server, batch = servers[trace.trace_id], batches[trace.trace_id]
        assert batch["parent_span_id"] == server["span_id"]
        assert server["links"] == [place(first)]
        assert batch is first or batch["links"] == [place(first)]
        assert abs(batch["end"] - batch["start"] - 2_000_000) < 10_000
        assert batch["attributes"] == {
            "model.name": "iris",
            "model.version": "2",
            "batch.rows": 12,
            "batch.requests": 5,
        }


def test_a_batch_that_served_no_recorded_request_leaves_no_span(tracing: Tracing, receiver: OtlpReceiver) -> None:
    batch_span([], 0.0, 1.0, model="iris", version="2", rows=1, requests=1)
    assert received(tracing, receiver) == []


def test_a_batch_may_end_after_its_client_left(
    tracing: Tracing, receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    left, stayed = recorded(tracing), recorded(tracing)
    finish(left, 499, asyncio.CancelledError())
    at = perf_counter()
    failed = PredictionFailed("the model failed on this input")
    batch_span([left, stayed], at, at + 1, model="iris", version="2", rows=2, requests=2, error=failed)
    finish(stayed)
    spans = received(tracing, receiver)
    assert [span["status"] for span in spans if span["name"] == "batch"] == ["ERROR", "ERROR"]
    assert [span["status"] for span in spans if span["kind"] == "SERVER"] == ["UNSET", "UNSET"]
    assert caplog.records == []
