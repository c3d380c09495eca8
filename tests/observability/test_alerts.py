"""The chart's alert rules: each fires when it should and rests when it should, by Prometheus' own judgement."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from model_manager.metrics.catalogue import CATALOGUE

from tests.chart.chart import CHART, Helm
from tests.conftest import ROOT
from tests.observability.prometheus import rendered_rules
from tools import parts

RULES: list[dict[str, Any]] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
CASES_FILE = Path(__file__).with_name("alerts_test.yaml")
CASES: list[dict[str, Any]] = yaml.safe_load(CASES_FILE.read_text())["tests"]
PAGE = (ROOT / "docs" / "observe.md").read_text()


def promtool(*arguments: str | Path) -> str:
    program = parts.program_of_debian("promtool", "prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def firing(case: dict[str, Any]) -> dict[str, set[str]]:
    """The alerts that a case expects to fire, with the labels of each."""
    samples = [sample["labels"] for test in case["promql_expr_test"] for sample in test["exp_samples"]]
    return {re.findall('alertname="([^"]+)"', labels)[0]: set(re.findall(r"(\w+)=", labels)) for labels in samples}


def rests(case: dict[str, Any]) -> bool:
    """Whether a case ends without any alert."""
    return not case["promql_expr_test"][-1]["exp_samples"]


def metrics_of(text: str) -> set[str]:
    return {name for name in re.findall(r"model_manager_\w+", text) if name != "model_manager_ready"}


def test_the_rules_are_what_prometheus_accepts(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(rendered_rules("models", "shop"))
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "alerts.yaml")
    assert f"{len(RULES)} rules found" in said


def test_in_fast_motion_every_time_of_a_rule_is_shortened_alike(tmp_path: Path) -> None:
    """And nothing else is: numbers, names of metrics, and what people are told stay."""
    (tmp_path / "alerts.yaml").write_text(rendered_rules("models", "shop", 12))
    assert f"{len(RULES)} rules found" in promtool("check", "rules", tmp_path / "alerts.yaml")
    usual = yaml.safe_load(rendered_rules("models", "shop"))["groups"][0]["rules"]
    fast = yaml.safe_load(rendered_rules("models", "shop", 12))["groups"][0]["rules"]
    time = r"(?<![\w.])(\d+)(ms|s|m|h|d)\b"
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    for one, other in zip(usual, fast, strict=True):
        assert one.get("annotations") == other.get("annotations")
        for place in ("expr", "for"):
            was, now = (re.findall(time, rule.get(place, "")) for rule in (one, other))
            assert [units[unit] * int(number) // 300 for number, unit in was] == [int(ms) for ms, unit in now]
            assert re.sub(time, "", one.get(place, "")) == re.sub(time, "", other.get(place, ""))


@pytest.mark.timeout(120)
def test_every_alert_fires_and_rests_when_its_cases_say_so(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(rendered_rules("models", "shop"))
    shutil.copy(CASES_FILE, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", tmp_path / CASES_FILE.name)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_of_firing_and_one_of_resting(alert: str) -> None:
    mine = [case for case in CASES if case["name"].startswith(f"{alert} ")]
    assert [case for case in mine if " fires " in case["name"] and alert in firing(case)]
    resting = [case for case in mine if " rests " in case["name"] and rests(case)]
    assert resting
    given = {name for case in mine for series in case["input_series"] for name in metrics_of(series["series"])}
    assert metrics_of(ALERTS[alert]["expr"]) <= given, "a case without the series it is about proves nothing"


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_it_is_about_and_where_to_read_on(alert: str) -> None:
    said = ALERTS[alert]["annotations"]
    assert said.keys() == {"summary", "description", "runbook"}
    assert ALERTS[alert]["labels"]["severity"] in {"critical", "warning", "info"}
    assert said["runbook"] == f"docs/observe.md#{alert.lower()}"
    assert f"### {alert}\n" in PAGE
    labels = {label for case in CASES for name, found in firing(case).items() if name == alert for label in found}
    assert set(re.findall(r"\$labels\.(\w+)", str(said))) <= labels


def test_the_rules_name_metrics_that_the_server_has() -> None:
    known = {description.name for group in CATALOGUE.values() for description in group}
    for rule in RULES:
        for name in re.findall(r"model_manager_\w+", rule["expr"]):
            assert re.sub("_(total|bucket|count|sum)$", "", name) in known


def test_the_chart_renders_the_rules_that_are_tested() -> None:
    helm = Helm(parts.helm(4))
    render = helm.template(file=CHART / "ci" / "autoscaling-values.yaml")
    tested = yaml.safe_load(rendered_rules("models", "shop-model-manager"))
    assert render.one("PrometheusRule")["spec"]["groups"][0] == tested["groups"][0]
