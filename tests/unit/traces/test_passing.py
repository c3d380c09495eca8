"""As many requests are observed as the share says, whichever way they come, and each that its caller records."""

from collections.abc import Iterator
from math import sqrt

import pytest
from model_manager.call import Call
from model_manager.serving.observation import Observer
from model_manager.traces.tracing import Tracing

from tests.unit.traces.staging import FROM_W3C, ROUTE, Headers, started
from tools.otlp_receiver import OtlpReceiver

SHARE = 0.25
REQUESTS = 4000
SPREAD = 5 * sqrt(REQUESTS * SHARE * (1 - SHARE))


@pytest.fixture
def sampled(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracing]:
    """Tracing of one request in four."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", str(SHARE))
    yield from started()


def call(*, plain: bool, headers: Headers | None = None) -> Call:
    return Call("v1", ROUTE, "POST", "/v1/models/iris:predict", headers or [], "iris", None, 0.0, plain=plain)


@pytest.mark.parametrize("plain", [True, False, None], ids=["plain", "others", "in turn"])
def test_the_share_is_that_of_the_sampler(sampled: Tracing, plain: bool | None) -> None:
    observer = Observer(tracing=sampled, records=None, log_share=0.0, server_timing=False)
    ways = [plain if plain is not None else bool(number % 2) for number in range(REQUESTS)]
    observed = sum(observer.begin(call(plain=way)) is not None for way in ways)
    assert abs(observed - REQUESTS * SHARE) <= SPREAD


def test_a_request_that_its_caller_records_is_recorded_between_those_that_pass(sampled: Tracing) -> None:
    observer = Observer(tracing=sampled, records=None, log_share=0.0, server_timing=False)
    for _ in range(50):
        observer.begin(call(plain=True))
        observation = observer.begin(call(plain=False, headers=FROM_W3C))
        assert observation is not None
        assert observation.trace is not None


def test_a_request_that_is_logged_is_observed_though_no_trace_is(sampled: Tracing) -> None:
    observer = Observer(tracing=sampled, records=None, log_share=1.0, server_timing=False)
    assert all(observer.begin(call(plain=True)) is not None for _ in range(100))
