"""Make docs/metrics.md from the catalogue that the server counts by: python -m tools.metrics_page, or `make docs`."""

import json

from model_manager.metrics import catalogue
from model_manager.metrics.instruments import Description
from model_manager.metrics.process_metrics import ProcessMetrics

from tools.processes import ROOT
from tools.scrape_cost import RESULT, summary

PAGE = ROOT / "docs" / "metrics.md"

_INTRODUCTION = """# Metrics

<!-- made from server/model_manager/metrics/catalogue/ by `make docs` -->

`GET /metrics` on the admin port, in Prometheus' text form, or as OpenMetrics for a scraper that asks for it (Prometheus
does where `exemplar-storage` is on): then the buckets of `model_manager_request_duration_seconds` point to traces.

- `model_name` and `model_version` name the version that really served. No label holds what a client made up. The series
  of a version go when it goes.
- Durations have buckets at powers of two from 2⁻¹⁵ s (30.5 µs) to 2³ s (8 s): bounds of Prometheus' native histograms
  at every resolution, so that whatever turns them into native ones loses nothing.
- Client faults (4xx, and 499 for a client that left) are counted by code, and are never failures of a version.
- With `--workers N` one scrape adds up all workers; "across workers" below says how where it is not a sum. Nothing is
  written to files.
- On Kubernetes the scrape adds `namespace`, `pod`, and by the chart's relabeling `track`.
- What a scrape costs: `python -m loadtests.benchmark.scrape` measures it. {cost}

[observe.md](observe.md) has the dashboard, the alerts, and how these names map to those of Triton, KServe and MLServer.
"""

_PROCESS_HEAD = """## The process, as prometheus-client measures it

| metric | type | meaning |
|---|---|---|
"""


def metrics_page() -> str:
    """The whole page, in the order of the catalogue, with the scrape's cost as it was last measured."""
    cost = summary(json.loads(RESULT.read_text(encoding="utf-8")))
    sections = [_INTRODUCTION.replace("{cost}", cost)]
    for title, descriptions in catalogue.CATALOGUE.items():
        sections.append(f"## {title}\n\n" + "\n".join(map(_entry, descriptions)))
    rows = [
        f"| `{family.description.name}{'_total' if family.description.kind == 'counter' else ''}` "
        f"| {family.description.kind} | {family.description.meaning} |"
        for family in ProcessMetrics().families()
    ]
    sections.append(_PROCESS_HEAD + "\n".join(rows) + "\n")
    return "\n".join(sections)


def exposed_name(description: Description) -> str:
    """A metric's name as it is scraped."""
    return description.name + ("_total" if description.kind == "counter" else "")


def _entry(description: Description) -> str:
    facts: list[str] = [description.kind]
    if description.unit:
        facts.append(f"in {description.unit}")
    if description.labels:
        facts.append("by " + ", ".join(f"`{label}`" for label in description.labels))
    if description.across != "sum":
        facts.append(f"{description.across} across workers")
    return (
        f"### `{exposed_name(description)}`\n\n{'; '.join(facts)}\n\n{description.meaning}\n\n"
        f"```promql\n{description.query}\n```\n"
    )


if __name__ == "__main__":
    PAGE.write_text(metrics_page(), encoding="utf-8")
