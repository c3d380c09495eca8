"""Every reader of foreign bytes keeps its promises (targets.py): for what broke them once, and for what is made up."""

import gc
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import TOKENS, seeds
from tests.fuzz.targets import TARGETS, hold

CORPUS = Path(__file__).parent / "corpus"
KEPT = [(path.parent.name, path.read_bytes()) for path in sorted(CORPUS.glob("*/*"))]
SEEDS = seeds()
_WARM, _ROUNDS = 5, 15


@st.composite
def mutations(draw: st.DrawFn, start: list[bytes]) -> bytes:
    """A well-formed input, or none, with pieces of it replaced by words of the format and by arbitrary bytes."""
    data = draw(st.sampled_from([*start, b""]))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.sampled_from([0, 0, 1, 3, 10])))
        piece = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
        data = data[:at] + piece * draw(st.sampled_from([1, 1, 1, 2, 3, 2000])) + data[to:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_keeps_its_promises(name: str) -> None:
    start = [data for target, data in SEEDS if target == name]

    @given(mutations(start))
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def holds(data: bytes) -> None:
        hold(TARGETS[name], data)

    holds()


@pytest.mark.parametrize(("name", "data"), [*KEPT, *SEEDS], ids=lambda value: value if isinstance(value, str) else "")
def test_what_broke_a_promise_once_breaks_none(name: str, data: bytes) -> None:
    hold(TARGETS[name], data)


def test_nothing_is_kept_of_what_was_read() -> None:
    sizes = []
    for number in range(_ROUNDS):
        for name, data in [*KEPT, *SEEDS]:
            TARGETS[name](data)
            TARGETS[name](data[: len(data) // 2] + b"%d" % number)
        if number == _WARM:
            tracemalloc.start()
        if number >= _WARM:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[1] < 100_000
