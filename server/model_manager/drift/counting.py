"""The rows of one version by bin, in a sliding window of panes. Handed over by the event loop, counted by one thread.

In the flow: batcher → **counting** (a bounded queue, then bins) → tallies. Without a baseline the first rows become
one: until then they are kept here, and nowhere else.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from time import perf_counter
from typing import Final, Protocol

import numpy as np

from model_manager.drift.baseline import baseline_of, features_of, outputs_of
from model_manager.drift.bins import Bins
from model_manager.drift.tallies import ColumnTally, Origin, Tally
from model_manager.errors import one_line
from model_manager.repository.metadata import Baseline
from model_manager.signature import Array, Layout, Rows, Signature

logger = logging.getLogger(__name__)

PANES: Final = 12
PANE_S: Final = 300
LEARNED_ROWS: Final = 1000
"""So many rows become the baseline of a version whose package has none."""

_QUEUED_S: Final = 10.0

Handed = tuple[Rows, Mapping[str, Array]]


class Taking(Protocol):
    """What a batcher hands rows to: when the clock (perf_counter seconds) has reached `due`."""

    due: float

    def take(self, handed: Iterable[Handed]) -> None:
        """Take rows of a batch and their answers, as many as are due; never raises."""
        ...


class Counting:
    """Counts sampled rows of one version. `rows_per_s`: the most that it takes. `due`: when it takes the next one.
    `changes`: goes up with whatever a tally would show.

    The event loop compares `due` with the clock (perf_counter seconds) and calls `take`; everything else is called by
    one thread at a time.
    """

    def __init__(self, signature: Signature, baseline: Baseline | None, *, rows_per_s: float, version: tuple[str, str]):
        self.version = version
        self.due = 0.0
        self.changes = 0
        self._signature = signature
        self._pace_s = 1 / rows_per_s
        self._most = max(1, int(rows_per_s))
        self._most_queued = max(1, int(rows_per_s * _QUEUED_S))
        self._queue: deque[Handed] = deque()
        self._queued = self._counted = 0  # rows: the one is the loop's, the other the thread's
        self._origin: Origin = "package" if baseline is not None else "learning"
        self._seen: list[Handed] = []
        self._seen_rows = 0
        self._columns: list[tuple[str, str, Bins]] = []
        self._starts: dict[tuple[str, str], int] = {}
        self._panes = np.zeros((PANES, 0), dtype=np.uint16)
        self._rows = np.zeros(PANES, dtype=np.uint32)
        self._pane = 0
        if baseline is not None:
            self._use(baseline)

    def take(self, handed: Iterable[Handed]) -> None:
        """Take rows of a batch and their answers, as many as are due; never raises. On the event loop."""
        taken = 0
        full = self._queued - self._counted >= self._most_queued  # the thread is late: others have the processors
        for rows, answers in () if full else handed:
            size = len(rows)
            if size > self._most - taken:  # some of a large request's, from all over it
                step = -(-size // (self._most - taken))
                rows = Rows(tuple(block[::step].copy() for block in rows.blocks))
                answers = {name: values[::step].copy() for name, values in answers.items()}
                size = len(rows)
            self._queue.append((rows, answers))
            self._queued += size
            taken += size
            if taken >= self._most:
                break
        self.due = perf_counter() + max(1, taken) * self._pace_s

    def fold(self, now: float) -> None:
        """Count what was handed over; `now` in monotonic seconds, which panes are aligned to in every process."""
        self._move_to(int(now // PANE_S))
        parts = []
        while self._queue:
            parts.append(self._queue.popleft())
        self.changes += bool(parts)
        known = []
        for rows, answers in parts:
            self._counted += len(rows)
            if self._origin == "learning":
                self._learn(rows, answers)
            else:
                known.append((rows, answers))
        for rows, answers in _together(known, shapes_vary=self._signature.columns is None):
            self._count(rows, answers)

    def tally(self, now: float, *, least: int | None = None) -> Tally:
        """What the window holds now. With `least`, for metrics: without names of bins, which take most of the time, and
        without columns as long as there are fewer rows.
        """
        self._move_to(int(now // PANE_S))
        rows = int(self._rows.sum())
        columns = []
        if least is None or rows >= least:
            window = self._panes.sum(axis=0, dtype=np.int64).tolist()
            for kind, name, bins in self._columns:
                start = self._starts[kind, name]
                part = slice(start, start + len(bins.baseline))
                columns.append(
                    ColumnTally(kind, name, bins.names if least is None else [], bins.baseline.tolist(), window[part])
                )
        model, version = self.version
        return Tally(model, version, self._origin, rows, self._seen_rows, columns)

    def _move_to(self, pane: int) -> None:
        """Forget the panes that have left the window."""
        gone = min(PANES, pane - self._pane)
        for number in range(pane - gone + 1, pane + 1):
            self.changes += bool(self._rows[number % PANES])
            self._panes[number % PANES] = 0
            self._rows[number % PANES] = 0
        self._pane = max(self._pane, pane)

    def _use(self, baseline: Baseline) -> None:
        known = [("feature", name, one) for name, one in baseline.features.items()]
        known += [("output", name, one) for name, one in baseline.outputs.items()]
        rows = max((sum(one.counts) + one.missing for _, _, one in known), default=0)
        start = 0
        for kind, name, one in known:
            bins = Bins(one, rows)
            if not bins.is_usable:
                logger.warning("%s/%s: the baseline of %r cannot be counted by", *self.version, name)
                continue
            self._columns.append((kind, name, bins))
            self._starts[kind, name] = start
            start += len(bins.baseline)
        self._panes = np.zeros((PANES, start), dtype=np.uint16)

    def _count(self, rows: Rows, answers: Mapping[str, Array]) -> None:
        pane = self._pane % PANES
        self._rows[pane] += len(rows)
        values = {("feature", name): one for name, one in features_of(self._signature, rows).items()}
        values |= {("output", name): one for name, one in outputs_of(answers).items()}
        for kind, name, bins in self._columns:
            found = values.get((kind, name))
            if found is not None:
                start, width = self._starts[kind, name], len(bins.baseline)
                counts = np.bincount(bins.place(found), minlength=width)[:width]
                self._panes[pane, start : start + width] += counts.astype(np.uint16)

    def _learn(self, rows: Rows, answers: Mapping[str, Array]) -> None:
        """Keep rows until there are enough of them, then make a baseline of them, and keep none."""
        self._seen.append((rows, answers))
        self._seen_rows += len(rows)
        if self._seen_rows < LEARNED_ROWS:
            return
        seen, self._seen = self._seen, []
        self._origin = "learned"
        try:
            signature = self._signature
            known = signature.columns is not None and signature.layout is not Layout.TEXT
            together = Rows.concatenate([rows for rows, _ in seen]) if known else seen[0][0]
            names = {name for _, answers in seen for name in answers}
            given = {name: [one[name] for _, one in seen if name in one] for name in sorted(names)}
            outputs = {name: np.concatenate(values) for name, values in given.items()}
            self._use(baseline_of(signature, together, outputs))
        except Exception as error:  # answers of the model's own making
            logger.warning("%s/%s: its first rows make no baseline: %s", *self.version, one_line(error))


def _together(parts: Iterable[Handed], *, shapes_vary: bool) -> Iterator[Handed]:
    """Stack what is alike: most are single rows, of which a hundred are counted in the time of a few.

    That time is the event loop's too, which waits for the interpreter meanwhile.
    """
    alike: dict[object, list[Handed]] = {}
    for rows, answers in parts:
        key: tuple[object, ...] = rows.shape_key if shapes_vary else ()
        key += tuple((name, values.dtype.kind, values.shape[1:]) for name, values in answers.items())
        alike.setdefault(key, []).append((rows, answers))
    for same in alike.values():
        names = same[0][1]
        together = {name: np.concatenate([answers[name] for _, answers in same]) for name in names}
        yield Rows.concatenate([rows for rows, _ in same]), together


class _NotCounted:
    """Takes nothing: what a version without drift has."""

    due = float("inf")

    def take(self, handed: Iterable[Handed]) -> None:
        """Take nothing."""


NOT_COUNTED: Final = _NotCounted()
