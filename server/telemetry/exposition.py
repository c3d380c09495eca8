"""Families → the text that Prometheus reads, in its own form or as OpenMetrics (which carries exemplars).

In the flow: instruments or merge → **exposition** → `GET /metrics`.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics 1.0 specification. Everything
of a series but its numbers is written once and kept, since the same thousands of lines are asked for every few seconds.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf, isfinite
from typing import Final, Literal

from prometheus_client.utils import floatToGoString

from server.telemetry.instruments import Description, Exemplar, Family, Series

Format = Literal["text", "openmetrics"]

CONTENT_TYPES: Final[dict[Format, str]] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
_SERIES_AT_ONCE: Final = 100
"""Between so many the event loop may do something else: they take a third of a millisecond."""


def choose_format(accept: str) -> Format:
    """The format for an Accept header: OpenMetrics for whoever asks for it, text for everybody else."""
    return "openmetrics" if "application/openmetrics-text" in accept else "text"


class Exposition:
    """Writes scrapes. What it keeps of a series is forgotten with the first scrape that the series is not part of."""

    def __init__(self) -> None:
        self._templates: dict[tuple[object, ...], str] = {}

    def write(self, families: Iterable[Family], form: Format) -> Iterator[str]:
        """Yield the text piece by piece, none of which takes longer than a fraction of a millisecond."""
        known = self._templates
        used: dict[tuple[object, ...], str] = {}
        for family in families:
            description = family.description
            yield _head(description, form)
            for start in range(0, len(family.series), _SERIES_AT_ONCE):
                lines = []
                for series in family.series[start : start + _SERIES_AT_ONCE]:
                    key = (description.name, series.labels, series.bounds)
                    template = used[key] = known.get(key) or _template(description, series)
                    lines.append(_fill(template, series, form))
                yield "".join(lines)
        if form == "openmetrics":
            yield "# EOF\n"
        self._templates = used


def _head(description: Description, form: Format) -> str:
    name = description.name
    if description.kind == "counter" and form == "text":
        name += "_total"
    meaning = description.meaning.replace("\\", r"\\").replace("\n", r"\n")
    if form == "openmetrics":
        meaning = meaning.replace('"', r"\"")
    unit = f"# UNIT {name} {description.unit}\n" if form == "openmetrics" and description.unit else ""
    return f"# HELP {name} {meaning}\n# TYPE {name} {description.kind}\n{unit}"


def _template(description: Description, series: Series) -> str:
    """The lines of a series with a place for each number, in the order of `_fill`."""
    name = description.name
    pairs = [
        f"{label}={_quote(value)}".replace("%", "%%")
        for label, value in zip(description.labels, series.labels, strict=True)
    ]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    if series.counts is None:
        return f"{name}{'_total' if description.kind == 'counter' else ''}{labels} %s\n"
    buckets = "".join(
        f"{name}_bucket{{{','.join([*pairs, f'le={_quote(_bound(bound))}'])}}} %d\n" for bound in (*series.bounds, inf)
    )
    return f"{buckets}{name}_count{labels} %d\n{name}_sum{labels} %s\n"


def _fill(template: str, series: Series, form: Format) -> str:
    if series.counts is None:
        return template % _number(series.value)
    cumulative = list(accumulate(series.counts))
    text = template % (*cumulative, cumulative[-1], _number(series.value))
    if not series.exemplars or form != "openmetrics":
        return text
    lines = text.split("\n")
    for bucket, exemplar in series.exemplars.items():
        lines[bucket] += _exemplar(exemplar)
    return "\n".join(lines)


def _exemplar(exemplar: Exemplar) -> str:
    return f' # {{trace_id="{exemplar.trace_id}"}} {exemplar.value!r} {exemplar.timestamp:.3f}'


def _quote(value: str) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{value}"'


def _bound(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _number(value: float) -> str:
    return repr(value) if isfinite(value) else _bound(value)
