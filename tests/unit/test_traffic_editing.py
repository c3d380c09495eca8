"""Traffic in the text of a manifest: the lines that change, those that stay, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import ManifestInvalid
from model_manager.manifests.traffic_editing import entry_of, set_traffic, weights_of

BLOCK = """\
# who may change this: team iris
models:
  iris:
    default: "1"   # the old one
    traffic:
      "1": 90      # for now
      "2": 10
    # and these are all of them
    versions:
      "1": {artifact: a}
      "2": {artifact: b}
      '3': {artifact: c}
  wine:
    versions: {"1": {artifact: a}}
"""
WITHOUT = BLOCK.replace('    traffic:\n      "1": 90      # for now\n      "2": 10\n', "")
FLOW = (
    "models: {iris: {traffic: {'1': 90, '2': 10}, "
    "versions: {'1': {artifact: a}, '2': {artifact: b}, '3': {artifact: c}}}}"
)


def test_weights_change_where_they_stand() -> None:
    assert set_traffic(BLOCK, "iris", {"1": 75, "2": 25}) == BLOCK.replace("90", "75").replace('"2": 10', '"2": 25')
    assert set_traffic(FLOW, "iris", {"1": 75, "2": 25}) == FLOW.replace("90", "75").replace("10", "25")


def test_a_version_that_is_not_named_gets_nothing() -> None:
    assert weights_of(entry_of(set_traffic(BLOCK, "iris", {"2": 100}), "iris")) == {"1": 0, "2": 100}


def test_a_new_version_gets_a_line_after_the_others() -> None:
    edited = set_traffic(BLOCK, "iris", {"1": 70, "2": 10, "3": 20})
    assert edited == BLOCK.replace("90", "70").replace('"2": 10\n', '"2": 10\n      "3": 20\n')
    assert set_traffic(FLOW, "iris", {"1": 70, "2": 10, "3": 20}) == FLOW.replace(
        "90, '2': 10", "70, '2': 10, \"3\": 20"
    )


def test_traffic_where_there_was_none_goes_first() -> None:
    edited = set_traffic(WITHOUT, "iris", {"1": 95, "2": 5})
    assert edited == WITHOUT.replace('    default: "1"', '    traffic: {"1": 95, "2": 5}\n    default: "1"')
    flow = set_traffic("models: {a: {versions: {'1': {artifact: x}}}}", "a", {"1": 100})
    assert flow == "models: {a: {traffic: {\"1\": 100}, versions: {'1': {artifact: x}}}}"
    empty = set_traffic("models:\n  a:\n    traffic:\n    versions: {'1': {artifact: x}}\n", "a", {"1": 100})
    assert empty == "models:\n  a:\n    traffic: {\"1\": 100}\n    versions: {'1': {artifact: x}}\n"


@pytest.mark.parametrize("text", [BLOCK, WITHOUT])
def test_line_ends_and_a_byte_order_mark_stay(text: str) -> None:
    weights = {"1": 60, "2": 30, "3": 10}
    windows = "\ufeff" + text.replace("\n", "\r\n")
    assert set_traffic(windows, "iris", weights) == "\ufeff" + set_traffic(text, "iris", weights).replace("\n", "\r\n")


@given(st.integers(0, 100), st.integers(0, 100), st.sampled_from([BLOCK, WITHOUT, FLOW]))
def test_what_was_set_is_read_back_and_nothing_else_changed(one: int, two: int, text: str) -> None:
    one, two = sorted((one, two))
    weights = {"1": one, "2": two - one, "3": 100 - two}
    edited = set_traffic(text, "iris", weights)
    assert weights_of(entry_of(edited, "iris")) == weights
    assert edited.splitlines()[0] == (text if text is not FLOW else edited).splitlines()[0]
    assert set_traffic(edited, "iris", weights) == edited


def test_without_traffic_all_of_it_is_the_defaults() -> None:
    assert weights_of(entry_of(WITHOUT, "iris")) == {"1": 100}
    assert weights_of(entry_of(BLOCK, "wine")) == {"1": 100}


@pytest.mark.parametrize(
    ("text", "model", "weights", "problem"),
    [
        (BLOCK, "iris", {"1": 50}, "line 5: models.iris.traffic: the weights are percent and add up to 50"),
        (BLOCK, "iris", {"1": 50, "4": 50}, "'4' is not among the versions"),
        (BLOCK, "rose", {"1": 100}, "has no model 'rose'; it lists iris, wine"),
        (
            "models:\n  a: &a\n    versions: {'1': {artifact: x}}\n    traffic: {'1': 100}\n  b: *a\n",
            "b",
            {"1": 100, "2": 0},
            "not among the versions",
        ),
        (
            "models:\n  a: &a\n    versions: {'1': {artifact: x}, '2': {artifact: y}}\n  b: *a\n",
            "b",
            {"1": 50, "2": 50},
            "the traffic of b cannot be changed by itself",
        ),
    ],
)
def test_what_no_server_would_accept_is_refused(text: str, model: str, weights: dict[str, int], problem: str) -> None:
    with pytest.raises(ManifestInvalid, match=problem):
        set_traffic(text, model, weights)
