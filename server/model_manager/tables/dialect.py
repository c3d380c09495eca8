"""How a text is parted into values: the separator, and what quotes do. Tried out on the first records, never sniffed.

Place in the flow: between text and records, which reads the whole text in the dialect chosen here.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from model_manager.errors import TableRefused

SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""What may stand between values, with its name."""

_TRIED_LINES: Final = 1000
_SPACE_TRIED_LINES: Final = 50
_NUMBER: Final = re.compile(r"\s*[-+]?[0-9.,]*[0-9][0-9.,]*(?:[eE][-+]?[0-9]+)?\s*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """`backslash`: that, not a second quote, marks a quote within quotes. `padded`: quotes may follow spaces."""

    separator: str = ","
    backslash: bool = False
    padded: bool = False

    def reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Part lines into records; raises csv.Error where quotes do not fit together."""
        return csv.reader(
            lines,
            delimiter=self.separator,
            doublequote=not self.backslash,
            escapechar="\\" if self.backslash else None,
            skipinitialspace=self.padded,
            strict=True,
        )


def choose_dialect(lines: Sequence[str]) -> Dialect:
    """Choose the dialect in which the first records are like each other and like the header.

    Raises TableRefused where spaces part the lines, which nothing tells from spaces within values.
    """
    tried = lines[:_TRIED_LINES]
    fits = [(fit, dialect) for dialect in _candidates("".join(tried)) if (fit := _fit(dialect, tried)) is not None]
    if fits:
        return max(fits, key=lambda one: one[0])[1]
    _refuse_spaces(tried[:_SPACE_TRIED_LINES])
    return Dialect()


def _candidates(sample: str) -> Iterator[Dialect]:
    for separator in SEPARATORS:
        # Spaces and backslashes before quotes are only asked about where there are some.
        padded = (False, True) if re.search(f'[{separator}] +"', sample) else (False,)
        backslash = (False, True) if '\\"' in sample else (False,)
        for escaped, spaced in itertools.product(backslash, padded):
            yield Dialect(separator, escaped, spaced)


def _fit(dialect: Dialect, lines: Sequence[str]) -> tuple[float, ...] | None:
    """Say how well a dialect fits, more is better; None where it parts nothing.

    Numbers decide between separators that both fit: the comma of "1,5;2,5" also parts it, into worse values.
    """
    widths: list[int] = []
    numbers = failed = 0
    try:
        for record in filter(None, dialect.reader(lines)):
            widths += (len(record),)
            numbers += sum(_NUMBER.fullmatch(cell) is not None for cell in record)
    except csv.Error:
        failed = 1
    if not widths:
        return None
    width, count = Counter(widths).most_common(1)[0]
    if width < 2:
        return None
    plainness = -(dialect.backslash + dialect.padded)
    return widths[0] == width, count / (len(widths) + failed), numbers / sum(widths), width, plainness


def _refuse_spaces(lines: Sequence[str]) -> None:
    widths = {len(line.split()) for line in lines if line.strip()}
    if len(widths) == 1 and (width := widths.pop()) > 1:
        message = f"every line holds {width} values parted by spaces; write it with commas between them"
        raise TableRefused(f"{message}, as pandas does: read_csv(FILE, sep=r'\\s+').to_csv(OTHER, index=False)")
