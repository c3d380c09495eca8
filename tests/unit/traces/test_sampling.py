"""The rule of a sampler decides as the sampler does; a glance at headers sees what the SDK reads in them."""

import sys
from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.traces.headers import DENIED, UNCLEAR
from model_manager.traces.propagation import Propagation
from model_manager.traces.sampling import rule_of
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

BUILT_IN: list[Sampler] = [
    ALWAYS_ON,
    ALWAYS_OFF,
    DEFAULT_ON,
    DEFAULT_OFF,
    *(TraceIdRatioBased(ratio) for ratio in (0.0, 1e-9, 0.01, 0.5, 1.0)),
    *(ParentBasedTraceIdRatio(ratio) for ratio in (0.0, 0.01, 0.5, 1.0)),
    ParentBased(TraceIdRatioBased(1 / 3)),
]

trace_ids = st.integers(1, (1 << 128) - 1)
span_ids = st.integers(1, (1 << 64) - 1)


def describe(sampler: Sampler) -> str:
    return sampler.get_description()[:60]


def recorded(sampler: Sampler, context: Context, trace_id: int) -> bool:
    return sampler.should_sample(context, trace_id, "POST /").decision is Decision.RECORD_AND_SAMPLE


@pytest.mark.parametrize("sampler", BUILT_IN, ids=describe)
@given(trace_id=trace_ids, parent=st.none() | st.booleans())
def test_a_rule_decides_as_its_sampler(sampler: Sampler, trace_id: int, parent: bool | None) -> None:
    rule = rule_of(sampler)
    assert rule is not None
    context = Context()
    if parent is not None:
        span = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(int(parent)))
        context = set_span_in_context(NonRecordingSpan(span), context)
    ours = parent if rule.follows_parent and parent is not None else rule.samples(trace_id)
    assert ours == recorded(sampler, context, trace_id)


@pytest.mark.parametrize("ratio", [0.01, 0.5])
def test_the_bound_of_a_ratio_is_exact(ratio: float) -> None:
    sampler = TraceIdRatioBased(ratio)
    rule = rule_of(sampler)
    assert rule is not None
    for trace_id in (sampler.bound - 1, sampler.bound, sampler.bound + (1 << 64)):
        assert rule.samples(trace_id) == recorded(sampler, Context(), trace_id)


@pytest.mark.parametrize("sampler", [each for each in BUILT_IN if each is not ALWAYS_OFF], ids=describe)
def test_what_is_drawn_is_what_the_sampler_records(sampler: Sampler) -> None:
    rule = rule_of(sampler)
    assert rule is not None
    if rule.bound:
        assert all(recorded(sampler, Context(), rule.draw_recorded()) for _ in range(200))
    else:
        assert rule.draw_passing() == sys.maxsize


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
def test_as_many_pass_between_two_that_are_recorded_as_chance_lets(share: float) -> None:
    rule = rule_of(TraceIdRatioBased(share))
    assert rule is not None
    draws = 20_000
    seen = Counter(rule.draw_passing() for _ in range(draws))
    # each share is within five standard deviations of what asking one by one brings about
    for passing in range(4):
        expected = share * (1 - share) ** passing
        assert abs(seen[passing] / draws - expected) <= 5 * sqrt(expected * (1 - expected) / draws)
    mean = sum(passing * count for passing, count in seen.items()) / draws
    assert abs(mean - (1 - share) / share) <= 5 * sqrt(1 - share) / share / sqrt(draws)


class EveryOther(Sampler):
    """Somebody's own sampler, which describes itself as one of the SDK's."""

    def should_sample(self, parent_context: Context | None, trace_id: int, *_: object, **__: object) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE if trace_id % 2 else Decision.DROP)

    def get_description(self) -> str:
        return "AlwaysOnSampler"


class Stricter(TraceIdRatioBased):
    """A subclass may decide otherwise."""


@pytest.mark.parametrize(
    "sampler",
    [
        EveryOther(),
        Stricter(0.5),
        ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF),
        ParentBased(ALWAYS_ON, remote_parent_not_sampled=TraceIdRatioBased(0.1)),
        ParentBased(ParentBased(ALWAYS_ON)),
    ],
    ids=describe,
)
def test_any_other_sampler_has_no_rule(sampler: Sampler) -> None:
    assert rule_of(sampler) is None


def hexadecimal(number: int, digits: int) -> bytes:
    return b"%0*x" % (digits, number)


@st.composite
def w3c(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    version = draw(st.sampled_from([b"00", b"00", b"00", b"01", b"ff", b"0"]))
    trace_id = hexadecimal(draw(trace_ids | st.just(0)), 32)
    span_id = hexadecimal(draw(span_ids | st.just(0)), 16)
    flags = draw(st.sampled_from([b"00", b"01", b"02", b"03", b"ff", b"0g", b"1"]))
    tail = draw(st.sampled_from([b"", b"", b"", b" ", b"-more"]))
    value = b"-".join([version, trace_id, span_id, flags]) + tail
    return [(b"traceparent", draw(st.sampled_from([value, value, value.upper(), b"", b"garbage", b"\xff\xfe"])))]


@st.composite
def b3_single(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    digits = draw(st.sampled_from([16, 32, 20]))
    trace_id = hexadecimal(draw(trace_ids | st.just(0)) % (1 << 4 * digits), digits)
    span_id = hexadecimal(draw(span_ids | st.just(0)), 16)
    sampled = draw(st.sampled_from([b"-0", b"-1", b"-d", b"-true", b"", b"-x", b"-0-" + span_id, b"-1-a-b-c"]))
    value = trace_id + b"-" + span_id + sampled
    return [(b"b3", draw(st.sampled_from([value, value, value.upper(), b"", b"1", b"d", b"---", b"\xff"])))]


@st.composite
def b3_multi(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    digits = draw(st.sampled_from([16, 32, 20]))
    headers = {
        b"x-b3-traceid": hexadecimal(draw(trace_ids | st.just(0)) % (1 << 4 * digits), digits),
        b"x-b3-spanid": hexadecimal(draw(span_ids | st.just(0)), 16),
        b"x-b3-sampled": draw(st.sampled_from([b"0", b"1", b"true", b"false", b"", b"d"])),
        b"x-b3-flags": draw(st.sampled_from([b"0", b"1", b""])),
    }
    kept = draw(st.sets(st.sampled_from(sorted(headers))) | st.just(set(headers) - {b"x-b3-flags"}))
    return [(name, value) for name, value in headers.items() if name in kept]


ANY_HEADERS = st.tuples(
    st.just([(b"host", b"iris"), (b"content-type", b"application/json")]),
    *([w3c() | st.just([])] * 2),
    *([b3_single() | st.just([])] * 2),
    *([b3_multi() | st.just([])] * 2),
).flatmap(lambda parts: st.permutations([header for part in parts for header in part]))


@pytest.mark.parametrize(
    "names", [["b3", "tracecontext"], ["tracecontext", "b3"], ["tracecontext"], ["b3multi"], ["baggage"]], ids=str
)
@given(headers=ANY_HEADERS)
def test_a_glance_at_headers_agrees_with_the_sdks_reading(names: list[str], headers: list[tuple[bytes, bytes]]) -> None:
    propagation = Propagation(names)
    seen = propagation.glance(headers)
    parent = get_current_span(propagation.extract(headers)).get_span_context()
    if seen is UNCLEAR or seen is DENIED:
        return
    if seen is None:
        assert not parent.is_valid
    else:
        assert (int(seen[0], 16), int(seen[1], 16)) == (parent.trace_id, parent.span_id)
        assert seen[2] == parent.trace_flags.sampled


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")],
        [(b"b3", b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0-00f067aa0ba902b7")],
        [(b"b3", b"8448eb211c80319c-b7ad6b7169203331-0")],
        [(b"x-b3-traceid", b"8448eb211c80319c"), (b"x-b3-spanid", b"b7ad6b7169203331"), (b"x-b3-sampled", b"0")],
    ],
    ids=["W3C", "B3", "B3 short", "B3 multi"],
)
def test_what_proxies_send_is_clear_at_a_glance(headers: list[tuple[bytes, bytes]]) -> None:
    seen = Propagation(["b3", "tracecontext"]).glance(headers)
    assert seen is not UNCLEAR
    assert seen is not None
    assert not seen[2]


def test_only_the_lowest_flag_of_traceparent_says_recorded() -> None:
    propagation = Propagation(["tracecontext"])
    for flags in range(256):
        headers = [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-%02x" % flags)]
        parent = get_current_span(propagation.extract(headers)).get_span_context()
        seen = propagation.glance(headers)
        assert seen == (b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331", bool(flags & 1))
        assert seen[2] == parent.trace_flags.sampled
