"""The reader of the rendered VirtualService reads what the chart renders, and refuses whatever else there is."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.chart.chart import CHART, MATRIX, Document, Helm
from tests.mesh.virtual_service import NotUnderstood, read_routing, read_subsets, route_configuration


@pytest.fixture
def documents(helm4: Helm) -> list[Document]:
    """A rendering with pins, a mirror and three tracks, to be changed by the test."""
    return copy.deepcopy(helm4.template(file=CHART / "ci" / "canary-values.yaml").documents)


def spec(documents: list[Document], kind: str = "VirtualService") -> dict[str, Any]:
    (found,) = [each["spec"] for each in documents if each["kind"] == kind]
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("file", MATRIX, ids=lambda file: file.stem)
def test_every_virtual_service_that_the_chart_renders_is_read_to_its_last_field(helm4: Helm, file: Path) -> None:
    documents = helm4.template(file=file).documents
    if not any(each["kind"] == "VirtualService" for each in documents):
        with pytest.raises(NotUnderstood, match="0 documents of kind VirtualService"):
            read_routing(documents)
        return
    read = route_configuration(read_routing(documents))
    assert len(read["virtual_hosts"][0]["routes"]) == len(spec(documents)["http"])


def test_envoy_is_told_what_the_chart_says(documents: list[Document]) -> None:
    configuration = route_configuration(read_routing(documents))
    (host,) = configuration["virtual_hosts"]
    by_header, *_, weighted = host["routes"]
    assert host["domains"] == spec(documents)["hosts"]
    assert by_header["match"]["headers"] == [{"name": "x-track", "string_match": {"exact": "canary"}}]
    assert weighted["match"] == {"prefix": "/", "headers": []}
    action = weighted["route"]
    shares = {each["name"]: each["weight"] for each in action["weighted_clusters"]["clusters"]}
    assert shares == {"canary": 10, "shadow": 0, "stable": 90}
    assert action["timeout"] == "10s"
    assert action["retry_policy"]["retry_on"] == "connect-failure,refused-stream,reset-before-request"
    assert (action["retry_policy"]["num_retries"], action["retry_policy"]["per_try_timeout"]) == (3, "2s")
    (mirror,) = action["request_mirror_policies"]
    assert mirror["cluster"] == "shadow"
    assert mirror["runtime_fraction"]["default_value"] == {"numerator": 250_000, "denominator": "MILLION"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), {"tls": []}),
        (("http", -1), {"fault": {"abort": {"percentage": {"value": 1}}}}),
        (("http", -1), {"rewrite": {"uri": "/"}}),
        (("http", -1, "route", 0), {"headers": {"request": {}}}),
        (("http", -1, "route", 0, "destination"), {"port": {"number": 80}}),
        (("http", -1, "retries"), {"retryRemoteLocalities": True}),
        (("http", 0, "match", 0), {"uri": {"prefix": "/v1"}}),
        (("http", 0, "match", 0, "headers", "x-track"), {"prefix": "can"}),
    ],
)
def test_a_field_that_it_does_not_know_is_refused_by_name(
    documents: list[Document], path: tuple[str | int, ...], value: dict[str, Any]
) -> None:
    node: Any = spec(documents)
    for part in path:
        node = node[part]
    node.update(value)
    with pytest.raises(NotUnderstood, match=rf"{next(iter(value))}: Extra inputs are not permitted"):
        read_routing(documents)


def test_weights_that_do_not_add_up_are_refused(documents: list[Document]) -> None:
    spec(documents)["http"][-1]["route"][0]["weight"] = 20
    with pytest.raises(NotUnderstood, match="the weights add up to 110, not 100"):
        read_routing(documents)


def test_a_route_to_a_track_without_a_subset_is_refused(documents: list[Document]) -> None:
    subsets = spec(documents, "DestinationRule")["subsets"]
    assert [each["name"] for each in subsets] == list(read_subsets(documents))
    subsets.pop()
    with pytest.raises(NotUnderstood, match="no DestinationRule has it"):
        read_routing(documents)


def test_a_duration_of_another_form_is_refused(documents: list[Document]) -> None:
    spec(documents)["http"][0]["timeout"] = "1h30m"
    with pytest.raises(NotUnderstood, match="no duration such as 500ms or 6s: '1h30m'"):
        read_routing(documents)
