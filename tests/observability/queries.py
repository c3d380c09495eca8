"""The queries of the chart's dashboard, as Prometheus is asked them: with Grafana's variables replaced."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tools.processes import ROOT

DASHBOARD = ROOT / "charts" / "model-manager" / "files" / "dashboard.json"
_VARIABLES = {"$namespace": ".*", "$track": ".*", "$model": ".*", "$version": ".*"}


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. `table`: it shows what is now, and no course over time."""

    row: str
    panel: str
    expression: str
    legend: str
    unit: str
    table: bool


def dashboard_queries(*, rate_interval: str = "15s") -> Iterator[Query]:
    """Every query of every panel in order, for all namespaces, tracks, models and versions."""
    row = ""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", rate_interval)
            for variable, value in _VARIABLES.items():
                expression = expression.replace(variable, value)
            unit = panel["fieldConfig"]["defaults"]["unit"]
            yield Query(row, panel["title"], expression, target["legendFormat"], unit, panel["type"] == "table")
