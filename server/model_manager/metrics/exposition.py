"""Families → the text that Prometheus reads, in its own format or as OpenMetrics (which carries exemplars).

In the flow: instruments or merge → **exposition** → `GET /metrics`.

Sources: https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics 1.0 specification. Everything
of a series but its numbers is written once and kept, since the same thousands of lines are asked for every few seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import inf, isfinite
from typing import Final, Literal, NamedTuple

from prometheus_client.utils import floatToGoString

from model_manager.metrics.instruments import Description, Exemplar, Family, Series

Format = Literal["text", "openmetrics"]

CONTENT_TYPES: Final[dict[Format, str]] = {
    "text": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
_AT_ONCE: Final = {"histogram": 250, "counter": 1000, "gauge": 1000}
"""Between so many series the event loop may do something else: they take about a millisecond."""


def choose_format(accept: str) -> Format:
    """The format for an Accept header: OpenMetrics for whoever asks for it, text for everybody else."""
    return "openmetrics" if "application/openmetrics-text" in accept else "text"


class _Written:
    """What is kept of a series: its text in parts, every second of which is a number, and what was written last."""

    __slots__ = ("bounds", "count", "parts", "text", "value")

    def __init__(self, description: Description, series: Series) -> None:
        self.bounds = series.bounds
        self.parts = _parts(description, series)
        self.value: float | None = None
        self.count = 0
        self.text = ""


class _Together(NamedTuple):
    """Series that stand together in a family of single numbers, as they were written last."""

    labels: list[tuple[str, ...]]
    values: list[float]
    text: str


class _Kept:
    """What is kept of a family: each of its series, and those of single numbers by where they stand together too."""

    __slots__ = ("series", "together")

    def __init__(self) -> None:
        self.series: dict[tuple[str, ...], _Written] = {}
        self.together: dict[int, _Together] = {}

    def forget_others(self, family: Family) -> None:
        """Forget the series that are not part of the family any more."""
        if len(self.series) > len(family.series):
            present = (series.labels for series in family.series)
            self.series = {labels: self.series[labels] for labels in present if labels in self.series}
            self.together = {start: one for start, one in self.together.items() if start < len(family.series)}


class Exposition:
    """Writes scrapes. What it keeps of a series is forgotten with the first scrape that the series is not part of."""

    def __init__(self) -> None:
        self._known: dict[str, _Kept] = {}

    def answer(self, families: Iterable[Family], accept: str) -> tuple[str, Iterator[str]]:
        """The content type and the text of a scrape, in the format that an Accept header asks for."""
        format = choose_format(accept)
        return CONTENT_TYPES[format], self.write(families, format)

    def write(self, families: Iterable[Family], format: Format) -> Iterator[str]:
        """Yield the text piece by piece, none of which takes much longer than a millisecond."""
        known = self._known
        used: dict[str, _Kept] = {}
        for family in families:
            description = family.description
            kept = used[description.name] = known.get(description.name) or _Kept()
            yield _preamble(description, format)
            step = _AT_ONCE[description.kind]
            for start in range(0, len(family.series), step):
                part = family.series[start : start + step]
                if description.kind == "histogram":
                    yield "".join([_line(kept, description, series, format) for series in part])
                else:
                    yield _text_of(kept, description, start, part, format)
            kept.forget_others(family)
        if format == "openmetrics":
            yield "# EOF\n"
        self._known = used


def _text_of(kept: _Kept, description: Description, start: int, part: Sequence[Series], format: Format) -> str:
    """The lines of series of single numbers: as they were written last, if they still stand there unchanged."""
    labels = [series.labels for series in part]
    values = [series.value for series in part]
    before = kept.together.get(start)
    if before is not None and before.labels == labels and before.values == values:
        return before.text
    text = "".join([_line(kept, description, series, format) for series in part])
    kept.together[start] = _Together(labels, values, text)
    return text


def _line(kept: _Kept, description: Description, series: Series, format: Format) -> str:
    written = kept.series.get(series.labels)
    if written is None or written.bounds != series.bounds:
        written = kept.series[series.labels] = _Written(description, series)
    return _write(written, series, format)


def _preamble(description: Description, format: Format) -> str:
    name = description.name
    if description.kind == "counter" and format == "text":
        name += "_total"
    meaning = description.meaning.replace("\\", r"\\").replace("\n", r"\n")
    if format == "openmetrics":
        meaning = meaning.replace('"', r"\"")
    unit = f"# UNIT {name} {description.unit}\n" if format == "openmetrics" and description.unit else ""
    return f"# HELP {name} {meaning}\n# TYPE {name} {description.kind}\n{unit}"


def _parts(description: Description, series: Series) -> list[str]:
    """The lines of a series: text and number in turns, and the end of the last line. The numbers are still empty."""
    name = description.name
    pairs = [f"{label}={_quote(value)}" for label, value in zip(description.labels, series.labels, strict=True)]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    if series.counts is None:
        return [f"{name}{'_total' if description.kind == 'counter' else ''}{labels} ", "", "\n"]
    starts = [
        *(f"{name}_bucket{{{','.join([*pairs, f'le={_quote(_bound(bound))}'])}}} " for bound in (*series.bounds, inf)),
        f"{name}_count{labels} ",
        f"{name}_sum{labels} ",
    ]
    parts = [""] * (2 * len(starts) + 1)
    parts[::2] = (starts[0], *("\n" + start for start in starts[1:]), "\n")
    return parts


def _write(written: _Written, series: Series, format: Format) -> str:
    counts = series.counts
    count = sum(counts) if counts is not None else 0
    if series.value != written.value or count != written.count:  # most versions are idle between two scrapes
        written.value, written.count = series.value, count
        parts = written.parts
        parts[-2] = _number(series.value)
        if counts is not None:
            _accumulate(counts, parts)
        written.text = "".join(parts)
    if not series.exemplars or format != "openmetrics":
        return written.text
    lines = written.text.split("\n")
    for bucket, exemplar in series.exemplars.items():
        lines[bucket] += _exemplar(exemplar)
    return "\n".join(lines)


def _accumulate(counts: Sequence[int], parts: list[str]) -> None:
    """Put the numbers of a histogram's buckets, and their count, in their places. Most buckets add nothing."""
    total, number, place = 0, "0", 1
    for count in counts:
        if count:
            total += count
            number = str(total)
        parts[place] = number
        place += 2
    parts[place] = number


def _exemplar(exemplar: Exemplar) -> str:
    return f' # {{trace_id="{exemplar.trace_id}"}} {exemplar.value!r} {exemplar.timestamp:.3f}'


def _quote(value: str) -> str:
    value = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'"{value}"'


@lru_cache(maxsize=1024)  # versions have the same ones, all but those of what they predict
def _bound(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _number(value: float) -> str:
    return repr(value) if isfinite(value) else _bound(value)
