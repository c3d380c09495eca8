"""The dashboard and the alerts against a real Prometheus that scrapes real servers under traffic."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from model_manager.metrics.catalogue import CATALOGUE

from tests.live import wait_until
from tests.observability.prometheus import rendered_rules
from tests.observability.queries import Query, dashboard_queries
from tests.observability.stage import Stage, stage
from tests.observability.traffic import traffic
from tools import parts
from tools.dashboard_json import DASHBOARD, dashboard
from tools.servers import ask

MAY_BE_EMPTY = {
    "Unreadable folder": "its folder can be read; tests/unit/test_system.py sees the counter rise",
}
UNITS = {"reqps", "rowsps", "ops", "s", "percentunit", "bytes", "short"}
QUERIES = list(dashboard_queries())
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Servers that had traffic, which goes on, and a Prometheus that has scraped them for a while."""
    parts.program_of_debian("prometheus", "prometheus")
    parts.module("opentelemetry.proto")
    with stage(tmp_path_factory.mktemp("observed")) as running, traffic(running):
        waited_for = [
            'min_over_time(up{job="model-manager"}[15s]) == 1 and count_over_time(up[20s]) > 15',
            'rate(model_manager_dropped_requests_total{reason="queue_full"}[15s]) > 0',
            "rate(model_manager_spans_exported_total[15s]) > 0",
            'rate(model_manager_labelled_predictions_total{outcome="number"}[15s]) > 0',
        ]
        for expression in waited_for:
            wait_until(lambda asked=expression: running.prometheus.query(asked), expression)  # type: ignore[misc]
        yield running


def test_the_file_is_made_from_the_table() -> None:
    assert json.loads(DASHBOARD.read_text()) == dashboard(), "make docs writes it"


def test_every_panel_has_a_title_a_description_a_unit_and_a_place_of_its_own() -> None:
    panels = dashboard()["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert all(0 <= x < 24 for x, _ in cells)
        taken |= cells
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"].endswith(".")
            assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
            assert panel["targets"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_variable_is_used_and_every_used_one_is_declared() -> None:
    declared = {variable["name"] for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard()))) - {"__rate_interval", "__all"}
    assert declared == used == {"datasource", "namespace", "track", "model", "version"}


def test_every_metric_that_is_asked_for_is_one_of_the_server() -> None:
    known = {description.name for group in CATALOGUE.values() for description in group}
    for query in QUERIES:
        for name in re.findall(r"model_manager_\w+", query.expression):
            assert re.sub("_(total|bucket|count|sum)$", "", name) in known


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.panel}, {query.legend}")
def test_every_query_has_data(watched: Stage, query: Query) -> None:
    found = watched.prometheus.query(query.expression)
    if query.panel not in MAY_BE_EMPTY:
        assert found
        labels = {label for series in found for label in series["metric"]}
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels


def test_every_variable_has_values(watched: Stage) -> None:
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            series, label = re.findall(r"label_values\((.*), (\w+)\)", variable["query"])[0]
            asked = re.sub(r"\$\w+", ".*", series)
            assert {one["metric"][label] for one in watched.prometheus.query(asked)}


def test_every_rule_is_evaluated_without_an_error(watched: Stage) -> None:
    rules = yaml.safe_load(rendered_rules("models", "observe"))["groups"][0]["rules"]
    evaluated = wait_until(
        lambda: [rule for rule in watched.prometheus.rules() if rule["health"] != "unknown"], "rules to be evaluated"
    )
    assert len(evaluated) == len(rules)
    assert {rule["health"] for rule in evaluated} == {"ok"}, [rule.get("lastError") for rule in evaluated]


def test_a_version_that_does_not_load_and_a_full_queue_are_on_their_way_to_an_alert(watched: Stage) -> None:
    def raised() -> set[str]:
        return {rule["name"] for rule in watched.prometheus.rules() if rule.get("state") in {"pending", "firing"}}

    wait_until(lambda: {"ModelVersionFailed", "ModelRequestsShed"} <= raised(), "alerts to be pending")
    assert "ModelServersGone" not in raised()


def test_promtool_finds_nothing_to_say_of_a_scrape(watched: Stage) -> None:
    promtool: Path = parts.program_of_debian("promtool", "prometheus")
    for server in watched.servers.values():
        scraped = ask(f"{server.addresses['admin']}/metrics").body
        checked = subprocess.run([promtool, "check", "metrics"], input=scraped, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
