"""Send spans from a thread of their own, never making a request wait, and count those that do not arrive.

In the flow: request_trace, and the SDK for loads → **queue** → thread: make the spans, hand them to the exporter.

The SDK's batch processor takes spans that are made already, drops them silently once its queue is full, and its
exporters log a line for every batch that fails. Here spans are made by the thread, many at a time, which takes a
fraction of what it costs between two requests; drops are counted; and an outage is logged once, when it begins and when
it ends, with what the exporter said first.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from model_manager.errors import StartRefused
from model_manager.traces.span_making import Recorded

logger = logging.getLogger(__name__)

_QUEUE_SIZE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"
_BATCH_SIZE: Final = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_DELAY_MS: Final = "OTEL_BSP_SCHEDULE_DELAY"


class BoundedExport(SpanProcessor):
    """Queues what was recorded for an exporter, at most `queue_size` spans of it; the rest is dropped and counted.

    A batch leaves once `batch_size` spans wait, or after `delay_s`. What is recorded as one is never split: where it is
    more than `batch_size` spans, it is a batch of its own. Not thread-safe: add on the event loop only.
    """

    def __init__(
        self, exporter: SpanExporter, *, queue_size: int = 2048, batch_size: int = 512, delay_s: float = 5.0
    ) -> None:
        self._sender = _Sender(exporter)
        self._queue: deque[Recorded] = deque()
        self._queue_size = queue_size
        self._batch_size = batch_size
        self._delay_s = delay_s
        # Only the loop writes the first, only the thread the second: the loop never waits for a lock.
        self._added = 0
        self._taken = 0
        self._queue_full = 0
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="send spans", daemon=True)
        self._thread.start()

    @classmethod
    def from_environment(cls, exporter: SpanExporter, environ: Mapping[str, str]) -> "BoundedExport":
        """Queue as OTEL_BSP_… say. Raises StartRefused for what is no whole number, or does not fit the others."""
        queue_size, batch_size = _number(environ, _QUEUE_SIZE, 2048), _number(environ, _BATCH_SIZE, 512)
        delay_ms = _number(environ, _DELAY_MS, 5000)
        if batch_size > queue_size:
            raise StartRefused(f"{_QUEUE_SIZE}={queue_size}: less than one batch ({_BATCH_SIZE}, {batch_size})")
        return cls(exporter, queue_size=queue_size, batch_size=batch_size, delay_s=delay_ms / 1e3)

    @property
    def exported(self) -> int:
        """Spans that were sent."""
        return self._sender.exported

    @property
    def dropped(self) -> Mapping[str, int]:
        """Spans that were lost, by reason."""
        return {"queue_full": self._queue_full, "export_failed": self._sender.failed}

    def add(self, recorded: Recorded) -> None:
        """Queue something that is over, or drop it when the queue is full."""
        count = recorded.span_count
        queued = self._added - self._taken + count
        if queued > self._queue_size:
            self._queue_full += count
            return
        self._added += count
        self._queue.append(recorded)
        if queued >= self._batch_size and not self._wake.is_set():
            self._wake.set()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: only spans that ended are sent."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that the SDK made."""
        if span.context is not None and span.context.trace_flags.sampled:
            self.add(_Made(span))

    def stop(self, timeout_s: float) -> None:
        """Send what is queued, for at most `timeout_s`, and end the thread.

        For a collector that is known to be out, nobody waits.
        """
        if self._sender.failing:
            self._sender.abandon()
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        lost = self._added - self._taken + self._sender.sending
        if self._thread.is_alive():
            self._sender.abandon()
        else:
            self._sender.close()
        if lost:
            logger.warning("%d spans were not sent before the server stopped", lost)

    def _run(self) -> None:
        while True:
            woken = self._wake.wait(self._delay_s)
            self._wake.clear()  # before the queue is looked at: what comes after that wakes again
            if not woken:
                self._send_batch()
            while self._added - self._taken >= self._batch_size or (self._stopping and self._queue):
                self._send_batch()
            if self._stopping:
                return

    def _send_batch(self) -> None:
        batch: list[Recorded] = []
        count = 0
        while self._queue and (not batch or count + self._queue[0].span_count <= self._batch_size):
            batch.append(self._queue.popleft())
            count += batch[-1].span_count
        if batch:
            self._taken += count
            self._sender.send(batch, count)


class _Made:
    """A span that was made already."""

    span_count = 1

    def __init__(self, span: ReadableSpan) -> None:
        self._span = span

    def spans(self) -> Sequence[ReadableSpan]:
        return [self._span]


class _Sender:
    """Passes batches on to the exporter, and counts and logs what comes of them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._said = _ExporterLog()
        self._failed_before = 0
        self._abandoned = False
        self.sending = 0
        self.exported = 0
        self.failed = 0
        self.failing = False

    def send(self, batch: Sequence[Recorded], count: int) -> None:
        """Make and send the `count` spans of a batch; blocks."""
        self.sending = count
        self._said.first = ""
        try:
            result = self._exporter.export([span for recorded in batch for span in recorded.spans()])
        except Exception as error:
            self._said.first = f"{type(error).__name__}: {error}"
            result = SpanExportResult.FAILURE
        self.sending = 0
        if result is SpanExportResult.SUCCESS:
            self.exported += count
            if self.failing:
                self.failing = False
                logger.info("spans are sent again; %d were lost", self.failed - self._failed_before)
        else:
            if not self.failing and not self._abandoned:
                self.failing = True
                self._failed_before = self.failed
                logger.warning(
                    "spans cannot be sent, and are dropped until they can: %s", self._said.first or result.name
                )
            self.failed += count

    def abandon(self) -> None:
        """Give up what is being sent, and everything after it; nothing more is logged."""
        self._abandoned = True
        self._exporter.shutdown()

    def close(self) -> None:
        """End the exporter, once nothing is being sent."""
        if not self._abandoned:
            self._exporter.shutdown()
        self._said.restore()


class _ExporterLog(logging.Handler):
    """Takes over what the SDK's exporters log, and keeps the first message of a batch: why it failed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ""
        self._logger = logging.getLogger("opentelemetry.exporter")
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()

    def restore(self) -> None:
        """Let the exporters log as they would."""
        self._logger.removeHandler(self)
        self._logger.propagate = True


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name, "").strip()
    if not value:
        return default
    if not value.isdecimal() or int(value) == 0:
        raise StartRefused(f"{name}={value}: not a whole number above 0")
    return int(value)
