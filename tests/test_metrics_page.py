"""docs/metrics.md says of every metric what the server itself exposes, and each of its queries is one."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_manager.metrics.catalogue import CATALOGUE

from tests.live import LiveServer, live_server, wait_until
from tools.metrics_page import PAGE, exposed_name, metrics_page
from tools.parts import program_of_debian

DESCRIPTIONS = [description for section in CATALOGUE.values() for description in section]
ONLY_WITH = {
    "model_manager_client_requests": "API keys",
    "model_manager_spans_exported": "tracing",
    "model_manager_spans_dropped": "tracing",
    "model_manager_prediction_records": "records",
    "model_manager_ledger_entries": "a ledger",
    "model_manager_load_failures": "a failed load",
    "model_manager_explanations": "an explanation",
    "model_manager_explain_duration_seconds": "an explanation",
    "model_manager_fetch_failures": "an artifact that cannot be fetched",
    "model_manager_version_quarantined": "a version that ended the server",
    "model_manager_unclean_ends": "a state folder, or several workers",
    "model_manager_unanswered_questions": "several workers, one of which does not answer",
    "model_manager_predictions_given_up": "a prediction that does not return",
    "model_manager_isolated_process_ends": "a version whose process ended",
    "model_manager_process_changes": "a model that changes the process",
    "model_manager_source_failures": "a folder that cannot be read",
    "model_manager_dropped_requests": "an overload",
    "model_manager_unrouted_requests": "a request to no model",
    "model_manager_traffic_weight_ratio": "traffic in the manifest",
    "model_manager_drift_psi": "two hundred rows of a version",
    "model_manager_drift_js_distance": "two hundred rows of a version",
    "model_manager_drift_psi_noise": "two hundred rows of a version",
    "model_manager_mature_predictions": "labels being taken",
    "model_manager_feedback_evicted": "labels being taken",
    "model_manager_feedback_labels": "labels being taken",
    "model_manager_labelled_predictions": "labels whose time is over",
    "model_manager_prediction_absolute_error": "labels whose time is over",
    "model_manager_prediction_log_loss": "labels whose time is over",
    "model_manager_label_lag_seconds": "labels whose time is over",
    "model_manager_live_metric": "labels whose time is over",
    "model_manager_live_coverage": "labels whose time is over",
    "model_manager_shadow_requests": "a shadow",
    "model_manager_shadow_dropped": "a shadow",
    "model_manager_shadow_duration_seconds": "a shadow",
}
"""Metrics that have no series before something happened, or without what they are about."""


@pytest.fixture(scope="module")
def server(samples: Path) -> Iterator[LiveServer]:
    with live_server(samples) as server:
        assert server.predict("iris", [[5.1, 3.5, 1.4, 0.2]]).status_code == 200
        assert server.predict("diabetes", [[0.0] * 10]).status_code == 200
        wait_until(lambda: server.metric("model_manager_predictor_speedup_ratio"), "faster forms to be found")
        yield server


def test_the_page_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text() == metrics_page(), "make docs"


def test_the_catalogue_is_what_is_exposed(server: LiveServer) -> None:
    text = server.admin.get("/metrics").text
    exposed = {name for name in re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE) if name.startswith("model_manager_")}
    described = {exposed_name(one) for one in DESCRIPTIONS}
    assert exposed <= described
    assert described - exposed <= {f"{name}{end}" for name in ONLY_WITH for end in ("", "_total")}
    for one in DESCRIPTIONS:
        labels = re.findall(rf"^{exposed_name(one)}(?:_count)?(?:\{{(.*)\}})? \S+$", text, re.MULTILINE)
        assert labels or one.name in ONLY_WITH, one.name
        for found in labels:
            assert tuple(re.findall(r'(\w+)="', found)) == one.labels


def test_promtool_finds_nothing_to_complain_of(server: LiveServer) -> None:
    promtool = program_of_debian("promtool", "prometheus")
    text = server.admin.get("/metrics").content
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_query_of_the_page_is_promql_and_uses_its_metric(tmp_path: Path) -> None:
    promtool = program_of_debian("promtool", "prometheus")
    rules = [f"  - record: rule:{number}\n    expr: |\n      {one.query}" for number, one in enumerate(DESCRIPTIONS)]
    (tmp_path / "rules.yaml").write_text("groups:\n- name: page\n  rules:\n" + "\n".join(rules) + "\n")
    checked = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yaml"], capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert [one.name for one in DESCRIPTIONS if one.name not in one.query] == []
