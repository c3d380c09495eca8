"""What Flagger and Argo Rollouts measure, asked of a real Prometheus' query engine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.chart import CHART, Helm, Render
from tools import parts

FLAGGER = CHART / "ci" / "flagger-values.yaml"
ARGO = CHART / "ci" / "argo-values.yaml"
SERIES = {
    "answers": 'model_manager_requests_total{namespace="models",pod="POD",code="200"}',
    "left": 'model_manager_requests_total{namespace="models",pod="POD",code="499"}',
    "wrong": 'model_manager_requests_total{namespace="models",pod="POD",code="400"}',
    "broken": 'model_manager_requests_total{namespace="models",pod="POD",code="500"}',
    "unrouted": 'model_manager_unrouted_requests_total{namespace="models",pod="POD",code="503"}',
    "nobodys": 'model_manager_unrouted_requests_total{namespace="models",pod="POD",code="404"}',
    "fast": 'model_manager_request_duration_seconds_bucket{namespace="models",pod="POD",le="0.25"}',
    "slow": 'model_manager_request_duration_seconds_bucket{namespace="models",pod="POD",le="0.5"}',
    "all": 'model_manager_request_duration_seconds_bucket{namespace="models",pod="POD",le="+Inf"}',
    "right": 'model_manager_labelled_predictions_total{namespace="models",pod="POD",outcome="right"}',
    "misjudged": 'model_manager_labelled_predictions_total{namespace="models",pod="POD",outcome="wrong"}',
    "drifted": 'model_manager_drifted_columns{namespace="models",pod="POD"}',
    "failed": 'model_manager_version_state{namespace="models",pod="POD",state="failed"}',
}


KEYS = ("success-percent", "p99-ms", "failed-versions", "live-accuracy-percent", "drifted-columns")


def queries(render: Render) -> dict[str, str]:
    """What is measured, by name, of pods called `new`."""
    found = {each["metadata"]["name"]: each["spec"]["query"] for each in render.all("MetricTemplate")}
    for template in render.all("AnalysisTemplate"):
        found |= {each["name"]: each["provider"]["prometheus"]["query"] for each in template["spec"]["metrics"]}
    return {next(key for key in KEYS if name.endswith(key)): query for name, query in found.items()}


def test_argo_measures_the_pods_of_the_new_hash_alone(helm4: Helm) -> None:
    for query in queries(helm4.template(file=ARGO)).values():
        assert set(re.findall(r'pod=~"([^"]+)"', query)) == {"shop-model-manager-{{args.canary}}-[a-z0-9]+"}


@pytest.mark.parametrize(
    ("grow", "success", "p99", "failed"),
    [
        ({"answers": 60, "fast": 60, "slow": 60, "all": 60}, 100, 247.5, 0),
        ({"answers": 60, "left": 600, "wrong": 600, "nobodys": 600}, 100, None, 0),
        ({"answers": 54, "broken": 6, "fast": 0, "slow": 60, "all": 60}, 90, 497.5, 0),
        ({"answers": 54, "broken": 6, "left": 600, "wrong": 600}, 90, None, 0),
        ({"answers": 54, "unrouted": 6}, 90, None, 0),
        ({"broken": 60}, 0, None, 0),
        ({"answers": 60, "failed": 0}, 100, None, 1),
        ({}, None, None, 0),
    ],
    ids=[
        "well",
        "callers' faults",
        "a tenth fails",
        "a tenth and faults",
        "a tenth reaches nothing",
        "all fail",
        "a failed version",
        "idle",
    ],
)
@pytest.mark.parametrize("file", [FLAGGER, ARGO], ids=lambda file: file.name)
def test_prometheus_answers_what_is_asked(
    helm4: Helm,
    tmp_path: Path,
    file: Path,
    grow: dict[str, float],
    success: float | None,
    p99: float | None,
    failed: float,
) -> None:
    if (promtool := shutil.which("promtool")) is None:
        parts.absent("promtool is not installed")
        return
    asked = queries(helm4.template(file=file, sets={"analysis.interval": "2m"}))
    new, old = "shop-model-manager-stable-77-x2x9z", "shop-model-manager-stable-primary-5bf9-x2x9z"
    if file == ARGO:
        asked = {name: query.replace("{{args.canary}}", "77") for name, query in asked.items()}
        new, old = "shop-model-manager-77-x2x9z", "shop-model-manager-5bf9-x2x9z"
    series = [{"series": SERIES[name].replace("POD", new), "values": _growing(name, by)} for name, by in grow.items()]
    series += [  # on the side that is not asked about
        {"series": SERIES[name].replace("POD", old), "values": _growing(name, 600)} for name in ("broken", "failed")
    ]
    _check(promtool, tmp_path, series, asked, {"success-percent": success, "p99-ms": p99, "failed-versions": failed})


LIVE = {"analysis.minAccuracyPercent": "90", "analysis.maxDriftedColumns": "0", "analysis.liveWindow": "5m"}


@pytest.mark.parametrize(
    ("grow", "accuracy", "drifted"),
    [({"right": 19, "misjudged": 1}, 95, 0), ({"right": 3, "misjudged": 1, "drifted": 1}, 75, 1), ({}, None, 0)],
    ids=["well", "wrong and drifting", "no labels"],
)
@pytest.mark.parametrize("file", [FLAGGER, ARGO], ids=lambda file: file.name)
def test_labels_and_drift_are_measured_of_new_pods_where_that_is_asked_for(
    helm4: Helm, tmp_path: Path, file: Path, grow: dict[str, float], accuracy: float | None, drifted: float
) -> None:
    if (promtool := shutil.which("promtool")) is None:
        parts.absent("promtool is not installed")
        return
    asked = queries(helm4.template(file=file, sets=LIVE))
    asked = {name: query.replace("{{args.canary}}", "77") for name, query in asked.items()}
    new = "shop-model-manager-77-x2x9z" if file == ARGO else "shop-model-manager-stable-77-x2x9z"
    old = new.replace("-77-", "-5bf9-" if file == ARGO else "-primary-5bf9-")
    series = [{"series": SERIES[name].replace("POD", new), "values": _growing(name, by)} for name, by in grow.items()]
    series += [
        {"series": SERIES[name].replace("POD", old), "values": _growing(name, 9)} for name in ("misjudged", "drifted")
    ]
    _check(promtool, tmp_path, series, asked, {"live-accuracy-percent": accuracy, "drifted-columns": drifted})


def test_labels_and_drift_are_not_measured_unasked(helm4: Helm) -> None:
    assert set(queries(helm4.template(file=ARGO))) == {"success-percent", "p99-ms", "failed-versions"}


def _check(
    promtool: str, folder: Path, series: list[dict[str, str]], asked: dict[str, str], expected: dict[str, float | None]
) -> None:
    """Hold the answers to queries against what is expected; None for no number."""
    tests = [
        {
            "expr": f"round({asked[name]}, 0.001) == round({asked[name]}, 0.001)",  # without what is not a number
            "eval_time": "10m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for name, value in expected.items()
    ]
    (folder / "test.yaml").write_text(
        yaml.safe_dump({"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": tests}]})
    )
    done = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _growing(name: str, by: float) -> str:
    """A counter that grows with every scrape; a gauge that says 1."""
    return "1x60" if name in ("failed", "drifted") else f"0+{by}x60"
