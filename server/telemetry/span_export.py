"""Send spans from a thread of their own, never making a request wait, and count those that do not arrive.

The SDK's batch processor drops spans silently once its queue is full, and its exporters log a line for every batch that
fails. So the queue is bounded in front of it, where drops are counted, and an outage is logged once, when it begins and
when it ends, with what the exporter said first.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from server.errors import StartRefused

logger = logging.getLogger(__name__)

_QUEUE_SIZE = "OTEL_BSP_MAX_QUEUE_SIZE"
_DEFAULT_QUEUE_SIZE = 2048


class BoundedExport(SpanProcessor):
    """Queues ended spans for an exporter, at most `queue_size` of them; what does not fit is dropped and counted.

    The other OTEL_BSP_… variables are the SDK's to read. Raises StartRefused when they do not fit each other.
    """

    def __init__(self, exporter: SpanExporter, queue_size: int = _DEFAULT_QUEUE_SIZE) -> None:
        self._exporter = _CountingExporter(exporter, self._taken)
        self._queue_size = queue_size
        self._queued = 0
        self._queue_full = 0
        self._lock = threading.Lock()
        try:
            self._batches = BatchSpanProcessor(self._exporter, max_queue_size=queue_size)
        except ValueError as error:
            self._exporter.shutdown()
            raise StartRefused(f"OTEL_BSP_…: {error}") from None

    @classmethod
    def from_environment(cls, exporter: SpanExporter, environ: Mapping[str, str]) -> "BoundedExport":
        """Queue as OTEL_BSP_MAX_QUEUE_SIZE says. Raises StartRefused when that is no number."""
        size = environ.get(_QUEUE_SIZE) or str(_DEFAULT_QUEUE_SIZE)
        if not size.isdecimal():
            raise StartRefused(f"{_QUEUE_SIZE}={size}: not a whole number of spans")
        return cls(exporter, int(size))

    @property
    def exported(self) -> int:
        """Spans that were sent."""
        return self._exporter.exported

    @property
    def dropped(self) -> Mapping[str, int]:
        """Spans that were lost, by reason."""
        return {"queue_full": self._queue_full, "export_failed": self._exporter.failed}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: only spans that ended are sent."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, or drop it when the queue is full."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        with self._lock:
            if self._queued >= self._queue_size:
                self._queue_full += 1
                return
            self._queued += 1
        self._batches.on_end(span)

    def _taken(self, spans: int) -> None:
        """The batch processor took spans off its queue."""
        with self._lock:
            self._queued -= spans

    def stop(self, timeout_s: float) -> None:
        """Send what is queued, for at most `timeout_s`, and end the thread.

        For a collector that is known to be out, nobody waits.
        """
        if self._exporter.failing:
            self._exporter.abandon()
        stopping = threading.Thread(target=self._batches.shutdown, name="stop tracing", daemon=True)
        stopping.start()
        stopping.join(timeout_s)
        lost = self._queued + self._exporter.sending
        if stopping.is_alive():
            self._exporter.abandon()
        if lost:
            logger.warning("%d spans were not sent before the server stopped", lost)


class _CountingExporter(SpanExporter):
    """Passes batches on to the real exporter, and counts and logs what comes of them."""

    def __init__(self, exporter: SpanExporter, taken: Callable[[int], None]) -> None:
        self._exporter = exporter
        self._taken = taken
        self._said = _ExporterLog()
        self._failed_before = 0
        self._abandoned = False
        self.sending = 0
        self.exported = 0
        self.failed = 0
        self.failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; blocks the export's thread only."""
        self.sending = len(spans)
        self._taken(self.sending)
        self._said.first = ""
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            self._said.first = f"{type(error).__name__}: {error}"
            result = SpanExportResult.FAILURE
        self.sending = 0
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
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
            self.failed += len(spans)
        return result

    def abandon(self) -> None:
        """Give up what is being sent, and everything after it; nothing more is logged."""
        self._abandoned = True
        self._exporter.shutdown()

    def shutdown(self) -> None:
        """End the real exporter."""
        self._exporter.shutdown()
        self._said.restore()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept here."""
        return True


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
