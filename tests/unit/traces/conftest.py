"""A real OTLP receiver, and tracing that sends to it over HTTP."""

from collections.abc import Iterator

import pytest
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import started
from tools.otlp_receiver import OtlpReceiver


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def tracing(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracing]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    yield from started()
