"""What a batch costs, measured at load: how much may be predicted on the event loop instead of on a thread.

Every output is measured by itself: a kernel's probabilities may cost a hundred times its labels. So is what text adds:
an encoder does not mind how long a string is, a vectorizer reads it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from time import perf_counter, thread_time
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from model_manager.inference.predictor import Predictor
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Layout, Rows, Signature

INLINE_BUDGET_S: Final = 0.0005
"""A batch cheaper than this runs on the loop: handing it to a thread and back costs about a fifth of it, and nobody
notices half a millisecond."""

_SIZES: Final = (1, 4, 16, 64, 256)
_LENGTHS: Final = (256, 1024, 4096, 16384, 65536)
"""Characters that are tried. Text of which the longest adds next to nothing costs less than decoding it does, which
happens on the loop anyway: then its length does not matter."""

_REPEATS: Final = 3
_MOST_REPEATS: Final = 30
_DOUBTFUL: Final = 4
"""Up to so many budgets, what is too dear may be so because the machine is busy, as it is when a pod starts."""
_PATIENCE_S: Final = 0.015
_LONGEST_S: Final = 0.25
_MOST_TEXT_COLUMNS: Final = 64
_REMEMBERED: Final = 64

Costs: TypeAlias = Mapping[str, Mapping[int, float]]
"""Seconds by output, by size of the batch; sizes that were found too dear, and larger ones, are left out."""


class Limit(NamedTuple):
    """The most that may be predicted on the loop; `characters` is None where text does not matter."""

    rows: int
    characters: int | None


class HoldsRows(Protocol):
    """A request in a batch."""

    @property
    def rows(self) -> Rows: ...


class Measured(NamedTuple):
    """What was measured, as plain values: another process makes the same limits of it, `InlineLimits.of`."""

    by_rows: Costs
    by_characters: Costs
    text: tuple[int, ...]
    layout: Layout


class InlineLimits:
    """What may be predicted on the event loop, by the outputs asked for; nothing of an output without costs.

    `by_rows` is what so many rows cost; `by_characters` what so many characters of text in the columns `text` add, for
    those outputs that are dearer for it. `layout` says where columns are. The costs of several outputs add up.
    """

    def __init__(
        self,
        by_rows: Costs,
        by_characters: Costs | None = None,
        *,
        text: Sequence[int] = (),
        layout: Layout = Layout.ARRAY,
    ) -> None:
        self._by_rows = by_rows
        self._by_characters = by_characters or {}
        self._text = text
        self._layout = layout
        self._limits: dict[tuple[str, ...], Limit] = {}

    @classmethod
    def of(cls, measured: Measured) -> "InlineLimits":
        """The limits that were measured elsewhere."""
        return cls(measured.by_rows, measured.by_characters, text=measured.text, layout=measured.layout)

    @property
    def measured(self) -> Measured:
        """What these limits are made of."""
        return Measured(self._by_rows, self._by_characters, tuple(self._text), self._layout)

    def allow(self, outputs: tuple[str, ...], count: int, parts: Iterable[HoldsRows]) -> bool:
        """Whether a batch of `count` rows in so many parts may be predicted on the loop."""
        limit = self._limits.get(outputs) or self.limit(outputs)
        if count > limit.rows:
            return False
        return limit.characters is None or sum(self._characters(part.rows) for part in parts) <= limit.characters

    def limit(self, outputs: tuple[str, ...]) -> Limit:
        """The most that is cheap enough when these outputs are asked for together."""
        texts = [self._by_characters[output] for output in outputs if output in self._by_characters]
        share = INLINE_BUDGET_S / 2 if texts else INLINE_BUDGET_S
        limit = Limit(
            _largest([self._by_rows.get(output, {}) for output in outputs], share),
            _largest(texts, share) if texts else None,
        )
        if len(self._limits) < _REMEMBERED:  # clients choose the outputs, and their order
            self._limits[outputs] = limit
        return limit

    def _characters(self, rows: Rows) -> int:
        return sum(
            len(value)
            for column in self._text
            for value in _column(rows.blocks, self._layout, column).tolist()
            if isinstance(value, str)
        )


NOTHING_INLINE: Final = InlineLimits({})


def measure_inline_limits(predictor: Predictor, example: Rows | None) -> InlineLimits:
    """Find out how much this predictor may do on the event loop, on copies of `example` with and without gaps and text.

    Nothing, where there is no example, or where requests choose the width of their rows. Warms the predictor up as
    well. Blocking; raises nothing.
    """
    signature = predictor.signature
    if example is None or signature.columns is None:
        return NOTHING_INLINE
    texts = [index for index, column in enumerate(signature.columns) if column.datatype == "BYTES"]
    if len(texts) > _MOST_TEXT_COLUMNS:
        return NOTHING_INLINE
    with warnings_dropped():  # gaps and words that it does not know are no news to anyone
        return _measure(predictor, example, texts)


def _measure(predictor: Predictor, example: Rows, texts: Sequence[int]) -> InlineLimits:
    by_rows: dict[str, dict[int, float]] = {}
    by_characters: dict[str, dict[int, float]] = {}
    dear: set[int] = set()
    for name in (output.name for output in predictor.signature.outputs):
        by_rows[name] = _costs_of_rows(predictor, example, name)
        if not by_rows[name]:
            continue
        costs = {column: _costs_of_text(predictor, _repeated(example, 1), name, column) for column in texts}
        minding = [column for column in texts if _LENGTHS[-1] not in costs[column]]
        if minding:
            dear.update(minding)
            by_characters[name] = _worst([costs[column] for column in minding])
    return InlineLimits(by_rows, by_characters, text=sorted(dear), layout=predictor.signature.layout)


def _costs_of_rows(predictor: Predictor, example: Rows, output: str) -> dict[int, float]:
    """The dearer of ordinary rows and rows with gaps: an imputer may look at all it has learnt for each gap."""
    costs: dict[int, float] = {}
    if not _answers(predictor, _repeated(example, 1), output):
        return costs  # a made-up row that this model does not like says nothing of its cost
    for size in _SIZES:
        dearest = 0.0
        for rows in _kinds(_repeated(example, size), predictor.signature):
            dearest = max(dearest, _seconds(predictor, rows, output))
            if dearest > INLINE_BUDGET_S:
                return costs
        costs[size] = dearest
    return costs


def _costs_of_text(predictor: Predictor, row: Rows, output: str, column: int) -> dict[int, float]:
    """What text in one column adds, by its length; from short to long, since it may add more than in proportion."""
    costs: dict[int, float] = {}
    plain = _seconds(predictor, row, output)
    share = INLINE_BUDGET_S / 2
    for length in _LENGTHS:
        added = _seconds(predictor, _with_text(row, predictor.signature, column, length), output, plain + share) - plain
        if added > share:
            break
        costs[length] = max(added, 0.0)
    return costs


def _seconds(predictor: Predictor, rows: Rows, output: str, enough: float = 0.0) -> float:
    """The least of a few runs, of one if that is no more than `enough`. What fails has its cost, too.

    A run that took long without computing is tried again: the machine gave its turn to somebody else, or the model
    waits, and then does so every time. So are more runs than a few where the budget is just not kept: the version
    would be half as fast for as long as it serves.
    """
    best, computed = float("inf"), thread_time()
    for run in range(_MOST_REPEATS):
        started = perf_counter()
        _answers(predictor, rows, output)
        best = min(best, perf_counter() - started)
        if best <= enough or best > _LONGEST_S or thread_time() - computed > _PATIENCE_S:
            break
        if run + 1 >= _REPEATS and not INLINE_BUDGET_S < best <= _DOUBTFUL * INLINE_BUDGET_S:
            break
    return best


def _answers(predictor: Predictor, rows: Rows, output: str) -> bool:
    try:
        predictor.predict(rows, (output,))
    except BaseException:  # foreign code: measuring it must not end what measures
        return False
    return True


def _kinds(rows: Rows, signature: Signature) -> Iterator[Rows]:
    yield rows
    blocks = tuple(block.copy() for block in rows.blocks)
    gaps = False
    for index, column in enumerate(signature.columns or ()):
        values = _column(blocks, signature.layout, index)
        if column.nullable and values.dtype.kind in "fO":
            values[:] = np.nan
            gaps = True
    if gaps:
        yield Rows(blocks)


def _with_text(row: Rows, signature: Signature, column: int, length: int) -> Rows:
    blocks = tuple(block.copy() for block in row.blocks)
    _column(blocks, signature.layout, column)[:] = _words(length)
    return Rows(blocks)


@cache
def _words(length: int) -> str:
    """As much work as so many characters can be: short words, each another, with accents that may be stripped."""
    return " ".join(f"é{number:x}" for number in range(length // 3 + 1))[:length]


def _column(blocks: tuple[Array, ...], layout: Layout, index: int) -> Array:
    """The values of one column, as a view."""
    if layout is Layout.FRAME:
        return blocks[index]
    return blocks[0] if layout is Layout.TEXT else blocks[0][:, index]


def _repeated(rows: Rows, size: int) -> Rows:
    many = Rows.concatenate([rows] * -(-size // len(rows)))
    return Rows(tuple(block[:size] for block in many.blocks))


def _worst(costs: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The highest of several costs for each size that none of them leaves out."""
    sizes = set(costs[0]).intersection(*costs)
    return {size: max(cost[size] for cost in costs) for size in sizes}


def _largest(costs: Sequence[Mapping[int, float]], budget: float) -> int:
    """The largest size whose costs together keep within the budget."""
    sizes = set(costs[0]).intersection(*costs)
    return max((size for size in sizes if sum(cost[size] for cost in costs) <= budget), default=0)
