"""Samples of counters → how much they grew, whatever was reset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.rollout.evidence import histogram, increase
from model_manager.rollout.prometheus import Series

START = 100.0


def series(*samples: tuple[float, float]) -> Series:
    return Series({}, [(time, str(value)) for time, value in samples])


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(90, 10), (110, 13), (120, 15)], 5),
        ([(80, 2), (90, 10), (100, 12), (110, 13)], 1),
        ([(110, 13), (120, 15)], 15),
        ([(90, 10), (110, 4), (120, 6), (130, 1)], 7),
        ([(80, 1), (90, 10)], 0),
        ([], 0),
    ],
    ids=["from its last value before", "a value at the start is before", "from zero", "restarts", "ended", "nothing"],
)
def test_a_counter_grew_by_what_it_counted_within_the_window(samples: list[tuple[float, float]], expected: int) -> None:
    assert increase(series(*samples), START) == expected


@given(st.lists(st.integers(0, 9), max_size=30), st.sets(st.integers(0, 29)))
def test_only_what_a_reset_hides_is_lost(steps: list[int], resets: set[int]) -> None:
    value, samples = 0, []
    for number, step in enumerate(steps):
        value = step if number in resets else value + step
        samples.append((START + 1 + number, value))
    grown = increase(series(*samples), START)
    assert grown <= sum(steps)
    if not resets:
        assert grown == sum(steps)


def bucket(le: str, count: int, pod: str = "a") -> tuple[dict[str, str], int]:
    return {"le": le, "pod": pod}, count


def test_buckets_of_several_processes_are_one_histogram() -> None:
    counts = [bucket("10.0", 3), bucket("+Inf", 4), bucket("2.5", 1), bucket("2.5", 5, "b"), bucket("10.0", 5, "b")]
    whole = histogram([*counts, bucket("+Inf", 6, "b")])
    assert (whole.bounds, whole.cumulative, whole.total) == ((2.5, 10.0), (6, 8), 10)


def test_processes_with_other_bounds_are_put_together_where_both_are_known() -> None:
    first = [bucket("0.0", 0), bucket("10.0", 10), bucket("+Inf", 10)]
    second = [bucket("5.0", 0, "b"), bucket("15.0", 10, "b"), bucket("+Inf", 10, "b")]
    whole = histogram([*first, *second])
    assert (whole.bounds, whole.cumulative, whole.total) == ((0.0, 5.0, 10.0, 15.0), (0, 5, 15, 20), 20)


def test_a_restart_seen_in_one_bucket_only_does_not_make_counts_go_down() -> None:
    whole = histogram([bucket("1.0", 7), bucket("2.0", 5), bucket("+Inf", 9)])
    assert whole.cumulative == (7, 7)


def test_no_buckets_are_an_empty_histogram() -> None:
    assert histogram([]).total == 0
