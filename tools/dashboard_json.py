"""Make the chart's Grafana dashboard from the tables of its rows: python -m tools.dashboard_json, or `make docs`."""

import json
from typing import Any

from tools import dashboard_requests, dashboard_versions
from tools.dashboard_panel import Panel
from tools.processes import ROOT

DASHBOARD = ROOT / "charts" / "model-manager" / "files" / "dashboard.json"
ROWS = dashboard_requests.ROWS | dashboard_versions.ROWS

_WIDTH, _HEIGHT = 24, 8
_POD = 'namespace=~"$namespace",track=~"$track"'
_VERSION = _POD + ',model_name=~"$model",model_version=~"$version"'


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
    DASHBOARD.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
