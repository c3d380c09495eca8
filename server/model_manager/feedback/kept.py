"""The newest answers of one version by request id, until their time for labels is over; then they count.

In the flow: answering → **kept** (a bounded queue, then bounded entries) ← labels; → sums. The event loop calls `keep`;
everything else is called by one thread at a time.

Every answer counts once, when its time is over, with the label that it has then or with none: so all versions, and any
two windows of one, are compared on answers that had as long for a label to come.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from sys import getsizeof
from typing import Any, Final
from zlib import crc32

import numpy as np

from model_manager.call import Call, Headers, sent_request_id
from model_manager.errors import one_line
from model_manager.feedback.labels import Label, Status
from model_manager.feedback.sums import Sums
from model_manager.feedback.tallies import AccuracyTally
from model_manager.feedback.truth import class_of, is_same, number_in
from model_manager.signature import Array, Signature

logger = logging.getLogger(__name__)

PANES: Final = 12
PANE_S: Final = 300
_MOST_QUEUED: Final = 20_000
_MOST_QUEUED_BYTES: Final = 16 * 1024 * 1024
_ENTRY_BYTES: Final = 700
_ARRAY_BYTES: Final = 112


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long an answer waits for labels (s), how many requests and bytes of them wait, and the share that is kept."""

    window_s: float
    entries: int
    bytes: int
    share: float


@dataclass(slots=True)
class _Entry:
    at: float
    answers: Array | None
    chances: Array | None
    rows: int
    size: int
    labels: dict[int, tuple[object, float]] = field(default_factory=dict)
    repeated: bool = False


class Kept:
    """Answers of one version. `new_id` gives an id to a request without one. Times in perf_counter seconds."""

    def __init__(self, signature: Signature, version: tuple[str, str], bounds: Bounds, new_id: Callable[[], str]):
        self.version = version
        self._bounds = bounds
        self._new_id = new_id
        output = next((one for one in signature.outputs if one.name == "predict"), None)
        self._classes = output.classes if output is not None else ()
        self._queue: deque[tuple[str, float, Mapping[str, Array], int]] = deque()
        self._put = self._put_bytes = self._refused = 0  # the loop's
        self._taken = self._taken_bytes = 0  # the thread's, as is everything below
        self._entries: dict[str, _Entry] = {}  # in the order in which they came
        self._bytes = 0
        self._over: dict[str, float] = {}  # ids of answers that were counted, and when: for as long again
        self._evicted = 0
        self._total = Sums()
        self._panes: deque[tuple[int, Sums]] = deque(maxlen=PANES)
        self._told = False

    def keep(self, call: Call, id: str | None, results: Mapping[str, Array], headers: Headers) -> Headers:
        """Keep an answer under its request's id, and give the answer's headers; never raises. On the event loop.

        A request without an id gets one, which its caller is told by `x-request-id`.
        """
        known = id or sent_request_id(call.headers)
        if known is None:
            known = self._new_id()
            headers = [*headers, (b"x-request-id", known.encode())]
        bounds = self._bounds
        if bounds.share < 1 and not is_sampled(known, bounds.share):
            return headers
        size = 0
        for values in results.values():
            size += values.nbytes
        if self._put - self._taken >= _MOST_QUEUED or self._put_bytes - self._taken_bytes + size > _MOST_QUEUED_BYTES:
            self._refused += 1  # the thread is late: others have the processors
            return headers
        self._put += 1
        self._put_bytes += size
        self._queue.append((known, call.began, results, size))
        return headers

    def fold(self, now: float) -> None:
        """Take up what was handed over, and count the answers whose time is over."""
        queue = self._queue
        while queue:
            id, at, results, size = queue.popleft()
            self._taken += 1
            self._taken_bytes += size
            self._take(id, at, results)
        self._count_mature(now)
        while len(self._entries) > self._bounds.entries or self._bytes > self._bounds.bytes:
            oldest = next(iter(self._entries))
            self._bytes -= self._entries.pop(oldest).size
            self._evicted += 1

    def _take(self, id: str, at: float, results: Mapping[str, Array]) -> None:
        known = self._entries.get(id)
        if known is not None:
            known.repeated = True
            return
        answers, chances = results.get("predict"), results.get("predict_proba")
        answers = _owned(answers) if answers is not None and answers.ndim == 1 else None
        fits = chances is not None and chances.ndim == 2 and chances.shape[1] == len(self._classes) > 0
        chances = _owned(chances) if fits and chances is not None else None
        either = answers if answers is not None else chances
        if either is None:
            return
        size = _ENTRY_BYTES + len(id) + sum(_size_of(one) for one in (answers, chances) if one is not None)
        self._entries[id] = _Entry(at, answers, chances, len(either), size)
        self._bytes += size

    def join(self, label: Label, now: float) -> Status:
        """Join a label with the answer of its id, where that is here and not scored yet. A later one replaces it."""
        entry = self._entries.get(label.id)
        if entry is None:
            if label.id in self._over:
                return "too_late"
            sampled = self._bounds.share >= 1 or is_sampled(label.id, self._bounds.share)
            return "unknown" if sampled else "not_sampled"
        if entry.repeated:
            return "ambiguous"
        if label.row >= entry.rows or not self._is_usable(entry, label.label):
            return "unusable"
        entry.labels[label.row] = (label.label, now)
        return "joined"

    def _is_usable(self, entry: _Entry, label: object) -> bool:
        """Whether a label can be held against the answer: any class, but of numbers only a number."""
        return not self._answers_numbers(entry) or (number_in(label) is not None and not isinstance(label, bool))

    def _answers_numbers(self, entry: _Entry) -> bool:
        return not self._classes and entry.answers is not None and entry.answers.dtype.kind == "f"

    def _count_mature(self, now: float) -> None:
        for id in list(takewhile(lambda id: self._over[id] + self._bounds.window_s <= now, self._over)):
            del self._over[id]
        ended = []
        for id, entry in self._entries.items():
            if entry.at + self._bounds.window_s > now:
                break
            ended.append(id)
        if not ended:
            return
        counted = Sums()
        for id in ended:
            entry = self._entries.pop(id)
            self._bytes -= entry.size
            self._over[id] = now
            if entry.repeated:
                continue
            counted.mature += entry.rows
            for row, (label, at) in entry.labels.items():
                try:
                    self._score(entry, row, label, counted)
                except Exception as error:  # answers are of the model's own making
                    self._tell(error)
                    continue
                counted.count_label(max(0.0, at - entry.at))
        while len(self._over) > self._bounds.entries:
            del self._over[next(iter(self._over))]
        self._total.add(counted)
        pane = int(now // PANE_S)
        if not self._panes or self._panes[-1][0] != pane:
            self._panes.append((pane, Sums()))
        self._panes[-1][1].add(counted)

    def _score(self, entry: _Entry, row: int, label: object, counted: Sums) -> None:
        answer: Any = entry.answers[row] if entry.answers is not None else None
        if isinstance(answer, np.generic):
            answer = answer.item()
        chances = entry.chances[row].tolist() if entry.chances is not None else None
        if self._answers_numbers(entry):
            counted.count_number(float(answer), float(str(label)))
            return
        if answer is None and chances is not None:
            answer = self._classes[max(range(len(chances)), key=chances.__getitem__)]
        right = is_same(answer, label)
        truth = class_of(label, self._classes) if chances is not None else None
        if chances is not None and truth is not None:
            counted.count_chances(chances, truth)
        counted.count_class(right)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning("%s/%s: an answer cannot be held against its label: %s", *self.version, one_line(error))

    def tally(self, now: float) -> AccuracyTally:
        """What was counted so far, and of the last hour; and what waits."""
        first = int(now // PANE_S) - PANES + 1
        total, window = Sums(), Sums()  # the thread goes on counting
        total.add(self._total)
        for pane, counted in self._panes:
            if pane >= first:
                window.add(counted)
        waiting = self._entries.values()
        return AccuracyTally(
            *self.version,
            window_s=self._bounds.window_s,
            waiting=sum(entry.rows for entry in waiting),
            waiting_labelled=sum(len(entry.labels) for entry in waiting),
            evicted=self._evicted + self._refused,
            total=total,
            hour=window,
        )


def is_sampled(id: str, share: float) -> bool:
    """Whether answers of this id are kept, where a share of them is: the same in every process and pod."""
    return crc32(id.encode("utf-8", "replace")) < share * 2**32


def _owned(array: Array) -> Array:
    """Give an array that keeps nothing else alive: one row of a batch would otherwise hold the whole of it."""
    return array if array.base is None else array.copy()


def _size_of(array: Array) -> int:
    size = _ARRAY_BYTES + array.nbytes
    return size + sum(map(getsizeof, array.flat)) if array.dtype.hasobject else size
