"""Predictions as data: a stream of records that may be sampled and may lose some, but never delays a request or grows.

In the flow: observation → **stream** (sample, bound, queue) ⇒ one thread: event_format → sinks. The event loop puts
arrays in a bounded queue and goes on; turning them into text, and waiting for a disk or a receiver, is the thread's.
"""

import logging
import threading
from collections.abc import Mapping
from datetime import datetime
from queue import SimpleQueue
from random import random
from sys import getsizeof
from time import monotonic, sleep, time

from model_manager.records.event_format import EventFormat, Notice, Record, parse_redacted
from model_manager.records.sinks import NotDelivered, Sink, open_sink
from model_manager.settings import Settings
from model_manager.signature import Array, Rows, Signature

logger = logging.getLogger(__name__)

MOST_RECORDS = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""What may wait, by count and by the memory that its arrays and strings take; beyond either, records are dropped."""

BATCH_RECORDS = 100
BATCH_BYTES = 1024 * 1024
"""What one delivery holds at most, in records and in bytes of text; a single larger record goes alone."""

_RECORD_BYTES = 1024  # a record without its arrays
_ARRAY_BYTES = 128  # an array without its values
_RECORDS_AT_ONCE = 8  # written before other threads get the interpreter, which the event loop may wait for
_OVERFLOW_LOG_S = 60.0


class RecordStream:
    """Takes records on the event loop and delivers them on a thread of its own; at most once each, in order.

    `gather_s`: how long records gather once one is there. `pause_s`: how long deliveries rest after one has failed.
    `sent`, `sampled_out` and `dropped` count records, and may be read at any time.
    """

    def __init__(
        self,
        sink: Sink,
        format: EventFormat,
        *,
        sample: float = 1.0,
        most_records: int = MOST_RECORDS,
        most_bytes: int = MOST_BYTES,
        gather_s: float = 0.1,
        pause_s: float = 1.0,
        timeout_s: float = 5.0,
    ) -> None:
        self._sink = sink
        self._format = format
        self._sample = sample
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._gather_s = gather_s
        self._pause_s = pause_s
        self._timeout_s = timeout_s
        self._queue: SimpleQueue[Record | Notice | None] = SimpleQueue()  # None ends the stream
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        # no lock on the request path: each of these is written by one thread only
        self.sampled_out = 0
        self._refused = self._put = self._put_bytes = 0  # the loop's
        self.sent = 0
        self._lost = self._taken = self._taken_bytes = 0  # the stream's thread's
        self._left = 0  # close's
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._settling = threading.Lock()  # between the thread's last count and close's
        self._abandoned = False
        self._batch: list[bytes] = []
        self._batch_records: list[int] = []  # of each event of the batch 1 where it is a record, 0 where it is a notice
        self._batch_text = self._batch_size = 0
        self._over = threading.Event()  # nothing more is to be delivered
        self._failing = False
        self._lost_before = self._refused_told = 0
        self._next_overflow_log = 0.0
        self._told_unwritable: set[str] = set()

    @classmethod
    def from_settings(cls, settings: Settings) -> "RecordStream | None":
        """Make the stream that settings ask for; None when they ask for none. Starts nothing.

        Raises StartRefused for a URL, a file or a list of names that cannot be used.
        """
        if not settings.records:
            return None
        format = EventFormat(parse_redacted(settings.records_redact))
        return cls(open_sink(settings.records), format, sample=settings.records_sample)

    @property
    def dropped(self) -> int:
        """Records that were to be sent and are lost."""
        return self._refused + self._lost + self._left

    def start(self) -> None:
        """Begin to deliver."""
        extra = {
            "to": self._sink.destination,
            "sample": self._sample,
            "redacted": ", ".join(sorted(self._format.redact)) or "nothing",
        }
        logger.info("predictions are recorded", extra=extra)
        self._thread.start()

    def offer(
        self,
        *,
        request_id: str | None,
        model: str,
        version: str,
        signature: Signature,
        rows: Rows,
        outputs: Mapping[str, Array] | None,
        status: int,
        duration_s: float,
        trace_id: str | None,
        shadow: bool = False,
    ) -> None:
        """Record an answered request, unless it is sampled out or too much waits already: never blocks, never raises.

        `request_id` is None when the caller gave none, `outputs` when there was no answer. `shadow`: a copy, whose
        answer nobody got. Call it on one thread only.
        """
        if random() >= self._sample:
            self.sampled_out += 1
            return
        try:
            size = _size_of(rows, outputs)
            waiting, waiting_bytes = self._put - self._taken, self._put_bytes - self._taken_bytes
            full = waiting >= self._most_records or waiting_bytes + size > self._most_bytes
            if full or self._closing.is_set():
                self._refused += 1
                return
            rows = Rows(tuple(map(_owned, rows.blocks)))
            if outputs is not None:
                outputs = {name: _owned(values) for name, values in outputs.items()}
            record = Record(
                request_id, model, version, signature, rows, outputs, status, duration_s, trace_id, time(), size, shadow
            )
            self._put += 1
            self._put_bytes += size
            self._queue.put(record)
        except Exception:
            self._refused += 1
            logger.exception("a prediction was not recorded, which should not happen")

    def tell(self, type: str, subject: str, at: datetime, data: object) -> None:
        """Deliver an event that is no prediction, among the records and not counted with them. Never blocks.

        It is lost where too much waits. Call it on the thread that offers records.
        """
        if not self._closing.is_set() and self._queue.qsize() < self._most_records:
            self._queue.put(Notice(type, subject, at, data))

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, for at most `timeout_s`, and end; the rest is counted as dropped. Blocks that long.

        After a failure no further delivery is tried. A stream that was not started only counts.
        """
        self._deadline = monotonic() + timeout_s
        self._closing.set()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        with self._settling:
            self._abandoned = True
            self._left = self._put - self._taken
        if self._left:
            logger.warning("stopping: %d prediction records were not delivered in time and are dropped", self._left)

    def _run(self) -> None:
        """Wait for a record, let more gather, deliver all that are there; until closed."""
        while not self._over.is_set():
            self._take(self._queue.get())
            self._closing.wait(self._gather_s)
            while not self._over.is_set() and not self._queue.empty():
                self._take(self._queue.get())
                if len(self._batch) % _RECORDS_AT_ONCE == 0:
                    sleep(0)
                if len(self._batch) == BATCH_RECORDS:
                    self._deliver()
            self._deliver()
        self._sink.close()

    def _take(self, record: Record | Notice | None) -> None:
        """Add a record to the batch, as text; deliver the batch before where both would be too large together."""
        if record is None:
            self._over.set()
            return
        if isinstance(record, Notice):
            self._add(self._format.encode_notice(record), 0, 0)
            return
        try:
            event = self._format.encode(record)
        except Exception as error:
            self._settle(records=1, size=record.size, lost=1)
            if record.model not in self._told_unwritable:
                self._told_unwritable.add(record.model)
                extra = {"model": record.model, "version": record.version}
                logger.warning("a prediction record cannot be written as JSON: %s", type(error).__name__, extra=extra)
            return
        self._add(event, 1, record.size)

    def _add(self, event: bytes, records: int, size: int) -> None:
        if self._batch and self._batch_text + len(event) > BATCH_BYTES:
            self._deliver()
        self._batch.append(event)
        self._batch_records.append(records)
        self._batch_text += len(event)
        self._batch_size += size

    def _deliver(self) -> None:
        """Deliver the batch, or count it as lost, say so once, and rest."""
        records, size = sum(self._batch_records), self._batch_size
        if not self._batch:
            return
        timeout_s = min(self._timeout_s, self._deadline - monotonic())
        if timeout_s <= 0:
            self._over.set()
            return
        lost, reason = 0, ""
        try:
            self._sink.deliver(self._batch, timeout_s)
        except NotDelivered as failure:
            lost, reason = sum(self._batch_records[failure.delivered :]), str(failure)
        except Exception as error:  # our own bug, which must not end the stream
            lost, reason = records, repr(error)
            logger.exception("prediction records were not delivered, which should not happen")
        self._batch, self._batch_records = [], []
        self._batch_text = self._batch_size = 0
        self._settle(records=records, size=size, lost=lost)
        self._tell(reason)
        if reason and self._closing.wait(self._pause_s):
            self._deadline = float("-inf")
            self._over.set()

    def _settle(self, *, records: int, size: int, lost: int) -> None:
        """Count records as sent or lost, and make room; not when close has counted them already."""
        with self._settling:
            if not self._abandoned:
                self.sent += records - lost
                self._lost += lost
                self._taken += records
                self._taken_bytes += size

    def _tell(self, reason: str) -> None:
        """Log the start and the end of an outage, and now and then that the queue is full."""
        if reason and not self._failing:
            self._lost_before = self.dropped
            logger.warning("prediction records are dropped: %s", reason)
        elif self._failing and not reason:
            dropped = self.dropped - self._lost_before
            self._refused_told = self._refused
            logger.info("prediction records arrive again; %d more were dropped meanwhile", dropped)
        self._failing = bool(reason)
        refused = self._refused - self._refused_told
        if refused and not self._failing and monotonic() >= self._next_overflow_log:
            self._refused_told = self._refused
            self._next_overflow_log = monotonic() + _OVERFLOW_LOG_S
            message = "prediction records are dropped: %d found the queue full; sample fewer with --records-sample"
            logger.warning(message, refused)


def _size_of(rows: Rows, outputs: Mapping[str, Array] | None) -> int:
    """Estimate the memory a record holds on to, strings included: their length is the client's choice."""
    size = _RECORD_BYTES
    for array in (*rows.blocks, *(outputs.values() if outputs is not None else ())):
        size += _ARRAY_BYTES + array.nbytes
        if array.dtype.hasobject:
            size += sum(map(getsizeof, array.flat))
    return size


def _owned(array: Array) -> Array:
    """Give an array that keeps nothing else alive: one row of a batch would otherwise hold the whole of it."""
    base = array.base
    return array if base is None or getattr(base, "nbytes", None) == array.nbytes else array.copy()
