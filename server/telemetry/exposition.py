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
_SERIES_AT_ONCE: Final = 250
"""Between so many the event loop may do something else: they take about a millisecond."""


def choose_format(accept: str) -> Format:
    """The format for an Accept header: OpenMetrics for whoever asks for it, text for everybody else."""
    return "openmetrics" if "application/openmetrics-text" in accept else "text"


class _Written:
    """What is kept of a series: its text with a place for each number, and how it was written last."""

    __slots__ = ("count", "template", "text", "value")

    def __init__(self, template: str) -> None:
        self.template = template
        self.value: float | None = None
        self.count = 0
        self.text = ""


class Exposition:
    """Writes scrapes. What it keeps of a series is forgotten with the first scrape that the series is not part of."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], _Written] = {}

    def write(self, families: Iterable[Family], form: Format) -> Iterator[str]:
        """Yield the text piece by piece, none of which takes much longer than a millisecond."""
        known = self._known
        used: dict[tuple[object, ...], _Written] = {}
        for family in families:
            description = family.description
            yield _head(description, form)
            for start in range(0, len(family.series), _SERIES_AT_ONCE):
                lines = []
                for series in family.series[start : start + _SERIES_AT_ONCE]:
                    key = (description.name, series.labels, series.bounds)
                    written = used[key] = known.get(key) or _Written(_template(description, series))
                    lines.append(_fill(written, series, form))
                yield "".join(lines)
        if form == "openmetrics":
            yield "# EOF\n"
        self._known = used


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


def _fill(written: _Written, series: Series, form: Format) -> str:
    value = series.value
    if series.counts is None:
        return written.template % _number(value)
    count = sum(series.counts)
    if count != written.count or value != written.value:  # most versions are idle between two scrapes
        written.text = written.template % (*accumulate(series.counts), count, _number(value))
        written.count, written.value = count, value
    if not series.exemplars or form != "openmetrics":
        return written.text
    lines = written.text.split("\n")
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
