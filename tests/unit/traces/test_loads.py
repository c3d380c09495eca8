"""The trace of a load, as a receiver gets it: its phases, and why it failed."""

import asyncio
from time import perf_counter
from typing import Any

import pytest
from model_manager.errors import LoadFailed
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import (
    named,
    received,
)
from tools.otlp_receiver import OtlpReceiver


def test_a_load_is_a_trace_of_its_phases(tracing: Tracing, receiver: OtlpReceiver) -> None:
    at = perf_counter()
    load = tracing.load("iris", "2", at)
    assert load is not None
    for number, phase in enumerate(("fetch", "load", "prove", "compile")):
        load.stage(phase, at + number, at + number + 1)
    load.finish(error=None, ended=at + 4)
    spans = received(tracing, receiver)
    root = named(spans, "load model")
    assert (root["parent_span_id"], root["status"]) == ("", "UNSET")
    assert root["attributes"] == {"model.name": "iris", "model.version": "2"}
    phases = sorted((span for span in spans if span is not root), key=lambda span: int(span["start"]))
    assert [span["name"] for span in phases] == ["fetch", "load", "prove", "compile"]
    assert {span["parent_span_id"] for span in phases} == {root["span_id"]}


@pytest.mark.parametrize(
    ("error", "status", "attributes"),
    [
        (
            LoadFailed("golden_mismatch", "row 1 differs"),
            ("ERROR", "golden_mismatch: row 1 differs"),
            {"load.failure_reason": "golden_mismatch", "error.type": "LoadFailed"},
        ),
        (KeyError("x"), ("ERROR", "internal: 'x'"), {"load.failure_reason": "internal", "error.type": "KeyError"}),
        (asyncio.CancelledError(), ("UNSET", ""), {"load.abandoned": True}),
    ],
    ids=["failed", "our own bug", "abandoned"],
)
def test_a_load_that_fails_says_why(
    tracing: Tracing, receiver: OtlpReceiver, error: BaseException, status: Any, attributes: dict[str, Any]
) -> None:
    load = tracing.load("iris", "2", perf_counter())
    assert load is not None
    load.finish(error=error, ended=perf_counter())
    (span,) = received(tracing, receiver)
    assert (span["status"], span["status_message"]) == status
    assert {"model.name": "iris", "model.version": "2", **attributes} == span["attributes"]
