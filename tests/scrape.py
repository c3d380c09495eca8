"""Read what a scrape would show, with the parsers of prometheus-client."""

from collections.abc import Iterable

from model_manager.metrics.exposition import Exposition, Format
from model_manager.metrics.instruments import Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample


def written(families: Iterable[Family], format: Format = "text") -> str:
    """The whole text of a scrape."""
    return "".join(Exposition().write(families, format))


def samples_of(text: str) -> list[Sample]:
    """Every sample of a scrape in either format, which must be well-formed."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    return [sample for family in parse(text) for sample in family.samples]


def value(families: Iterable[Family], name: str, **labels: str) -> float | None:
    """The value of the one sample with exactly this name and these labels, or None when there is no such sample."""
    found = [each.value for each in samples_of(written(families)) if each.name == name and each.labels == labels]
    assert len(found) <= 1, f"{name} {labels} is there {len(found)} times"
    return found[0] if found else None
