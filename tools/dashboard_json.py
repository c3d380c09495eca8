"""Make the chart's Grafana dashboard from the table below: python -m tools.dashboard_json, or `make docs`."""

import json
from dataclasses import dataclass
from typing import Any

from tools.processes import ROOT

DASHBOARD = ROOT / "charts" / "model-manager" / "files" / "dashboard.json"

_WIDTH, _HEIGHT = 24, 8
_POD = 'namespace=~"$namespace",track=~"$track"'
_VERSION = _POD + ',model_name=~"$model",model_version=~"$version"'
_STAGES = ("decode", "queue", "batch", "predict", "encode")
_OURS = "and on (namespace, pod) model_manager_build_info"  # what every process of Python has, of our servers alone


@dataclass(frozen=True)
class Panel:
    """A panel: its queries as (expression, legend). V and P in braces become the labels of versions and of pods."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    stacked: bool = False


def _quantile(share: float, metric: str, by: str, labels: str = "V") -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def _stages(share: float) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"histogram_quantile({share}, {_rate(f'model_manager_{stage}_duration_seconds_bucket', 'le')})", stage)
        for stage in _STAGES
    )


def _rate(metric: str, by: str, labels: str = "V") -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def _increase(metric: str, by: str, labels: str = "V") -> str:
    return f"sum by ({by}) (increase({metric}{{{labels}}}[$__rate_interval]))"


_OF_VERSION = "{{model_name}} {{model_version}}"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Traffic and errors": (
        Panel(
            "Requests",
            "Predictions answered a second, by the version that really served.",
            "reqps",
            (
                (
                    _rate("model_manager_requests_total", "model_name, model_version"),
                    _OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Answers by status",
            "500: the estimator failed. 503: a full queue. 504: time ran out. 4xx and 499 are the callers' own.",
            "reqps",
            ((_rate("model_manager_requests_total", "code"), "{{code}}"),),
            stacked=True,
        ),
        Panel(
            "Failed share by track",
            "5xx among what is not the callers' fault; 0.1% is the objective. A canary above stable is worse than it.",
            "percentunit",
            (
                (
                    _rate("model_manager_requests_total", "model_name, track", 'V,code=~"5.."')
                    + " / "
                    + _rate("model_manager_requests_total", "model_name, track", 'V,code!~"4.."'),
                    "{{model_name}} {{track}}",
                ),
            ),
        ),
        Panel(
            "Requests that reach no version",
            "404: a model or version that is not served. 503: known, but not ready.",
            "reqps",
            ((_rate("model_manager_unrouted_requests_total", "code", "P"), "{{code}}"),),
        ),
        Panel(
            "Dropped requests",
            "Shed by a full queue, expired before they were predicted, or given up by their callers.",
            "reqps",
            (
                (
                    _rate("model_manager_dropped_requests_total", "model_name, reason"),
                    "{{model_name}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "In flight",
            "Requests that hold a version now.",
            "short",
            (("sum by (model_name, model_version) (model_manager_requests_in_flight{V})", _OF_VERSION),),
        ),
    ),
    "Latency": (
        Panel(
            "Request p50 and p99",
            "From the first byte read to the answer handed to the socket.",
            "s",
            (
                (
                    _quantile(0.5, "model_manager_request_duration_seconds", "model_name, model_version"),
                    f"{_OF_VERSION} p50",
                ),
                (
                    _quantile(0.99, "model_manager_request_duration_seconds", "model_name, model_version"),
                    f"{_OF_VERSION} p99",
                ),
            ),
        ),
        Panel(
            "p50 by stage",
            "Where the time of a usual request goes, over the chosen models; batch and predict are per batch.",
            "s",
            _stages(0.5),
        ),
        Panel(
            "p99 by stage",
            "Where the time of a slow request goes, over the chosen models; batch and predict are per batch.",
            "s",
            _stages(0.99),
        ),
        Panel(
            "p99 by track",
            "A canary's against stable's.",
            "s",
            (
                (
                    _quantile(0.99, "model_manager_request_duration_seconds", "model_name, track"),
                    "{{model_name}} {{track}}",
                ),
            ),
        ),
        Panel(
            "p99 of the time allowed",
            "At 1 requests are answered with 504; above a half there is an alert.",
            "percentunit",
            (
                (
                    _quantile(0.99, "model_manager_request_duration_seconds", "model_name, model_version")
                    + " / on (model_name, model_version)"
                    + " min by (model_name, model_version) (model_manager_timeout_seconds{V})",
                    _OF_VERSION,
                ),
            ),
        ),
    ),
    "Batching": (
        Panel(
            "Rows",
            "Rows predicted a second.",
            "rowsps",
            (
                (
                    _rate("model_manager_rows_total", "model_name, model_version"),
                    _OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Rows a batch",
            "Near one: the model is idle between requests, and none waits. It grows with load.",
            "short",
            (
                (
                    _rate("model_manager_batch_rows_sum", "model_name, model_version")
                    + " / "
                    + _rate("model_manager_batch_rows_count", "model_name, model_version"),
                    _OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Queue",
            "Rows that wait, as a share of those that may, in the fullest pod. At 1 requests are turned away.",
            "percentunit",
            (
                (
                    "max by (model_name, model_version) (model_manager_queue_rows{V} / model_manager_queue_limit_rows)",
                    _OF_VERSION,
                ),
            ),
        ),
    ),
    "Versions": (
        Panel(
            "State",
            "Pods in which a version is in a state. What fails is tried again; the repository index has the reason.",
            "short",
            (
                (
                    "count by (model_name, model_version, state) (model_manager_version_state{V} == 1)",
                    f"{_OF_VERSION} {{{{state}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Default version",
            "The version that answers when a request names none, by pod.",
            "short",
            (
                (
                    "max by (model_name, model_version, pod) (model_manager_default_version{V} == 1)",
                    f"{_OF_VERSION} {{{{pod}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Form",
            "What computes the answers: scikit-learn, or an equivalent that proved equal.",
            "short",
            (
                (
                    "count by (model_name, model_version, form) (model_manager_predictor_form{V} == 1)",
                    f"{_OF_VERSION} {{{{form}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Load time",
            "Seconds that each phase of the last load took.",
            "s",
            (
                (
                    "max by (model_name, model_version, phase) (model_manager_version_load_seconds{V})",
                    f"{_OF_VERSION} {{{{phase}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Failed loads",
            "Each is tried again, for as long as the version is wanted.",
            "short",
            (
                (
                    _increase("model_manager_load_failures_total", "model_name, model_version, reason"),
                    f"{_OF_VERSION} {{{{reason}}}}",
                ),
            ),
        ),
    ),
    "Predictions": (
        Panel(
            "Predicted labels",
            "Share of each label among a classifier's predictions. A shift is new input, or a new version.",
            "percentunit",
            (
                (
                    _rate("model_manager_predictions_total", "model_name, model_version, label")
                    + " / on (model_name, model_version) group_left "
                    + _rate("model_manager_predictions_total", "model_name, model_version"),
                    f"{_OF_VERSION} {{{{label}}}}",
                ),
            ),
        ),
        Panel(
            "Predicted numbers",
            "A regressor's p10, median and p90. Bounds are the deciles of its training data, where it has a baseline.",
            "short",
            tuple(
                (
                    _quantile(share, "model_manager_prediction_value", "model_name, model_version"),
                    f"{_OF_VERSION} {name}",
                )
                for share, name in ((0.1, "p10"), (0.5, "p50"), (0.9, "p90"))
            ),
        ),
    ),
    "Convergence": (
        Panel(
            "Wanted but not in force",
            "Seconds since what is not in force was wanted. 0: what is wanted is served.",
            "s",
            (("max by (pod) (model_manager_convergence_lag_seconds{P})", "{{pod}}"),),
        ),
        Panel(
            "Generations",
            "States wanted so far, and the one in force.",
            "short",
            (
                ("max by (pod) (model_manager_wanted_generation{P})", "{{pod}} wanted"),
                ("max by (pod) (model_manager_in_force_generation{P})", "{{pod}} in force"),
            ),
        ),
        Panel(
            "Unreadable folder",
            "Looks at the models folder that failed; what serves goes on.",
            "short",
            (
                (
                    _increase("model_manager_source_failures_total", "pod, reason", "P"),
                    "{{pod}} {{reason}}",
                ),
            ),
        ),
    ),
    "Process": (
        Panel(
            "CPU",
            "Cores used.",
            "short",
            ((f"sum by (pod) (rate(process_cpu_seconds_total{{P}}[$__rate_interval]) {_OURS})", "{{pod}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory.",
            "bytes",
            ((f"sum by (pod) (process_resident_memory_bytes{{P}} {_OURS})", "{{pod}}"),),
        ),
        Panel(
            "Garbage collections",
            "Runs of Python's collector a second, by generation.",
            "short",
            (
                (
                    f"sum by (pod, generation) (rate(python_gc_collections_total{{P}}[$__rate_interval]) {_OURS})",
                    "{{pod}} gen {{generation}}",
                ),
            ),
        ),
        Panel(
            "Event loop lag",
            "p99 of how late the loop runs what is due. All requests of a pod wait that long.",
            "s",
            ((_quantile(0.99, "model_manager_event_loop_lag_seconds", "pod", "P"), "{{pod}}"),),
        ),
        Panel("Ready", "Pods that want traffic.", "short", (("sum by (track) (model_manager_ready{P})", "{{track}}"),)),
    ),
    "Telemetry": (
        Panel(
            "Spans",
            "Sent to the collector, and lost on the way. Predictions never wait for them.",
            "ops",
            (
                ("sum(rate(model_manager_spans_exported_total{P}[$__rate_interval]))", "sent"),
                (_rate("model_manager_spans_dropped_total", "reason", "P"), "lost: {{reason}}"),
            ),
        ),
        Panel(
            "Prediction records",
            "Records of predictions: sent, sampled out as asked, and lost.",
            "ops",
            ((_rate("model_manager_prediction_records_total", "outcome", "P"), "{{outcome}}"),),
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, top, _WIDTH, 1)}
        )
        top += 1
        for start in range(0, len(row), 3):
            line = row[start : start + 3]
            width = _WIDTH // len(line)
            panels += [_panel(panel, _place(at * width, top, width, _HEIGHT)) for at, panel in enumerate(line)]
            top += _HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "title": "model-manager",
        "uid": "model-manager",
        "description": "Predictions, versions and servers of model-manager.",
        "tags": ["model-manager"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "graphTooltip": 1,
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": panels,
    }


def _variables() -> list[dict[str, Any]]:
    asked = {
        "namespace": "model_manager_build_info",
        "track": 'model_manager_build_info{namespace=~"$namespace"}',
        "model": 'model_manager_version_state{namespace=~"$namespace"}',
        "version": 'model_manager_version_state{namespace=~"$namespace",model_name=~"$model"}',
    }
    labels = {"model": "model_name", "version": "model_version"}
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}},
        *(
            {
                "name": name,
                "label": name.capitalize(),
                "type": "query",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "query": f"label_values({series}, {labels.get(name, name)})",
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "allValue": ".*",
                "current": {"text": "All", "value": "$__all"},
                "sort": 1,
            }
            for name, series in asked.items()
        ),
    ]


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    table = panel.kind == "table"
    custom: dict[str, Any] = (
        {} if table else {"fillOpacity": 25 if panel.stacked else 5, "showPoints": "never", "axisSoftMin": 0}
    )
    if panel.stacked:
        custom["stacking"] = {"mode": "normal"}
    drawn: dict[str, Any] = {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": custom},
            "overrides": [],
        },
        "options": {}
        if table
        else {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": source,
                "expr": _with_labels(expression),
                "legendFormat": legend,
                **({"instant": True, "format": "table"} if table else {"range": True}),
            }
            for number, (expression, legend) in enumerate(panel.queries)
        ],
    }
    return drawn


def _with_labels(expression: str) -> str:
    for short, labels in (("V", _VERSION), ("P", _POD)):
        expression = expression.replace(f"{{{short}}}", f"{{{labels}}}").replace(f"{{{short},", f"{{{labels},")
    return expression


if __name__ == "__main__":
    DASHBOARD.write_text(json.dumps(dashboard(), indent=1) + "\n")
