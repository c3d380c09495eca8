"""Swaps under fire in their short form; and what judges them, which would prove nothing if it let anything pass."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from loadtests.chaos.artifacts import BAD, BAD_MANIFESTS, Models, dumped
from loadtests.chaos.judging import Allowed, judge, latencies_ms, percentile
from loadtests.chaos.report import PAGE, RESULT, is_flawless, measures_of, page_with
from loadtests.chaos.script import fewest_swaps, write_script
from loadtests.chaos.traffic import Request, read_requests
from loadtests.tests.test_loadtests import need, run

MEASURED = {
    "swaps": {"good": 8, "revert": 2}, "requests": 500, "failed": {}, "wrong": {}, "restarts": [], "stuck": [],
    "swap_ms": {"p50": 80.0, "p99": 600.0}, "alone_ms": {"p50": 70.0, "p99": 90.0}, "thousand_s": 3.0,
    "quiet_p99_ms": 2.0, "loading_p99_ms": 4.0,
    "resident_start_mb": 200.0, "resident_end_mb": 210.0,
}  # fmt: skip


@pytest.mark.timeout(300)
def test_everything_that_can_happen_to_the_folder_fails_no_request_and_ends_no_server(tmp_path: Path) -> None:
    need("matplotlib")
    figures = tmp_path / "chaos.json"
    ran = run("loadtests.chaos", "--quick", "--json", str(figures))
    assert ran.returncode == 0, ran.stderr
    document = json.loads(figures.read_text(encoding="utf-8"))
    assert sum(document["swaps"].values()) == fewest_swaps()
    assert {name for name in document["swaps"] if name.startswith("bad artifact")} == {f"bad artifact {b}" for b in BAD}
    assert (document["failed"], document["wrong"], document["restarts"], document["stuck"]) == ({}, {}, [], [])
    assert document["requests"] > 500
    assert all(one.value is not None for one in measures_of(document))


def test_kinds_are_left_out_by_name_and_a_name_that_is_none_is_told() -> None:
    ran = run("loadtests.chaos", "--without", "exits,explodes")
    assert ran.returncode == 2
    assert "'explodes' is none of truncated, no pickle," in ran.stderr
    assert "swaps are too few for everything to happen once" in run("loadtests.chaos", "--swaps", "10").stderr


@pytest.mark.parametrize("swaps", [fewest_swaps(), 400])
def test_a_script_holds_everything_and_is_good_after_whatever_is_not(swaps: int) -> None:
    script = write_script(swaps)
    assert len(script) == swaps
    happened = Counter((swap.kind, swap.detail) for swap in script)
    assert {detail for kind, detail in happened if kind == "bad artifact"} == BAD.keys()
    assert {detail for kind, detail in happened if kind == "bad manifest"} == BAD_MANIFESTS.keys()
    assert {kind for kind, _ in happened} >= {"good", "revert", "removal", "emptied", "unmounted", "a thousand"}
    assert happened["a thousand", ""] == 1
    assert happened["good", ""] * 2 >= swaps
    assert script[0].kind == script[1].kind == script[-1].kind == "good"
    after = [then.kind for one, then in pairwise(script) if one.kind != "good"]
    assert set(after) == {"good"}
    assert write_script(swaps) == script != write_script(swaps, seed=1)


def test_a_script_leaves_out_what_it_is_told_to() -> None:
    script = write_script(200, without=["exits", "hangs"])
    assert {swap.detail for swap in script if swap.kind == "bad artifact"} == BAD.keys() - {"exits", "hangs"}


def asked(
    sent: float, received: float, said: str, *, model: str = "m", status: int = 200, agrees: bool = True
) -> Request:
    return Request(sent, received, model, status, said, agrees)


def test_a_version_may_answer_only_while_it_is_wanted_or_a_request_of_that_time_is_on_its_way() -> None:
    allowed = Allowed()
    for moment, versions in ((0.0, ["1"]), (10.0, ["1", "2"]), (11.0, ["2"])):
        allowed.from_now(moment, *versions)
    right = [
        asked(1, 2, "1"),
        asked(9.9, 10.1, "2"),
        asked(10.5, 10.6, "1"),
        asked(10.9, 12, "1"),
        asked(11.1, 12, "2"),
    ]
    assert not judge(right, allowed).wrong
    wrong = judge([asked(1, 2, "2"), asked(11.1, 12, "1")], allowed)
    assert wrong.wrong == {
        "m: version 2 answered when it was not wanted": 1,
        "m: version 1 answered when it was not wanted": 1,
    }


def test_values_of_another_version_than_the_header_names_are_wrong_and_so_is_another_version_of_the_unchanged() -> None:
    allowed = Allowed()
    allowed.from_now(0.0, "1")
    verdict = judge([asked(1, 2, "1", agrees=False), asked(1, 2, "2", model="steady")], allowed)
    assert verdict.wrong == {
        "m: the values are not those of version 1": 1,
        "steady: version 2 never was": 1,
    }
    assert not verdict.failed


def test_what_failed_is_counted_by_what_was_said_whatever_tells_one_time_from_another() -> None:
    allowed = Allowed()
    said = [f"predict raised (request id {number:032x})" for number in range(3)]
    failed = [asked(0, 1, one, status=500, agrees=False) for one in said]
    verdict = judge([*failed, asked(0, 1, "ConnectionResetError", status=0, agrees=False)], allowed)
    assert verdict.failed == {"500: predict raised (request id …)": 3, "no answer: ConnectionResetError": 1}
    assert verdict.requests == 4


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    requests = [asked(1.5, 2.25, "17"), asked(2.0, 3.0, "two\nlines\tand a tab", status=503, agrees=False)]
    (tmp_path / "log").write_text("".join(one.line() for one in requests), encoding="utf-8")
    first, second = read_requests(tmp_path / "log")
    assert first == requests[0]
    assert (second.status, second.said, second.agrees) == (503, "two lines and a tab", False)


def test_latencies_are_those_of_requests_that_were_sent_in_a_window() -> None:
    requests = [asked(0.5, 1.5, "1"), asked(2.0, 2.25, "1"), asked(5.0, 5.5, "1")]
    assert latencies_ms(requests, [(1.0, 3.0), (4.9, 5.1)]) == [250.0, 500.0]
    assert latencies_ms(requests, []) == []
    assert percentile([], 0.99) is None
    assert [percentile(range(1, 101), share) for share in (0.5, 0.99, 1.0)] == [51, 100, 100]


def test_a_run_is_flawless_with_zeros_where_zeros_belong_however_slow_the_machine() -> None:
    assert is_flawless(MEASURED)
    assert [one.name for one in measures_of(MEASURED) if one.met is False] == [
        "swaps one upon the other, to the first answer, p99"
    ]
    for broken in ({"failed": {"500": 1}}, {"wrong": {"x": 1}}, {"restarts": ["exits"]}, {"stuck": ["good"]}):
        assert not is_flawless({**MEASURED, **broken})


def test_the_page_gets_a_line_for_every_measure() -> None:
    page = page_with(MEASURED, PAGE.read_text(encoding="utf-8"))
    assert "| failed requests | 0 | 0 |" in page
    assert "| one swap at a time, to its first answer, p50 | 70 ms | ≤ 100 ms |" in page
    assert "| p99 of requests while a version loads ÷ that | 2 | ≤ 5 |" in page
    assert page_with(MEASURED, page) == page
    with pytest.raises(ValueError, match="has no <!-- chaos"):
        page_with(MEASURED, "# Another page")


def test_the_page_is_that_of_the_run_and_the_run_was_flawless() -> None:
    document = json.loads(RESULT.read_text(encoding="utf-8"))
    assert is_flawless(document)
    assert page_with(document, PAGE.read_text(encoding="utf-8")) == PAGE.read_text(encoding="utf-8")


def test_a_good_version_takes_a_megabyte() -> None:
    assert 900_000 < len(Models().good(3)) < 1_100_000
    assert len(dumped(None)) < 100
