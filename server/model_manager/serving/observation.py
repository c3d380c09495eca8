"""What is told of single requests, where anybody asked for it: a trace, a log line, a record, a server-timing header.

In the flow: answering → **observer** (does anybody want to know more of this call?) → observation, filled in on the
way → told at the end. A request that nobody asks about costs no more than its metrics.
"""

import logging
import random
from typing import TYPE_CHECKING, Final

from model_manager.call import Call, request_id, sent_request_id
from model_manager.records import RecordStream
from model_manager.serving.batch import Observed, Results
from model_manager.serving.servable import Servable
from model_manager.signature import PredictRequest
from model_manager.traces import trace_fields

if TYPE_CHECKING:
    from model_manager.traces import RequestTrace, Tracing

logger: Final = logging.getLogger("model_manager.requests")


class Observer:
    """Decides which requests are observed, and how."""

    def __init__(
        self, *, tracing: "Tracing | None", records: RecordStream | None, log_share: float, server_timing: bool
    ) -> None:
        self._tracing = tracing
        self._records = records
        self._log_share = log_share
        self._always = server_timing or records is not None
        self._server_timing = server_timing
        self._traces_alone = tracing if log_share == 0 and not self._always else None

    def begin(self, call: Call) -> "Observation | None":
        """Observe a call from its arrival on, or let it pass."""
        tracing = self._traces_alone
        if tracing is not None and call.plain and tracing.passing:
            tracing.passing -= 1
            return None
        trace = None
        if self._tracing is not None:
            trace = self._tracing.begin(call.headers, call.method, call.path, call.route, call.began)
        logged = self._log_share > 0 and random.random() < self._log_share
        if trace is None and not logged and not self._always:
            return None
        return Observation(call, trace=trace, logged=logged, timed=self._server_timing, records=self._records)


class Observation(Observed):
    """One observed request: what it asked and got, and when each step ended (perf_counter; 0 for steps not reached)."""

    __slots__ = (
        "_call", "_logged", "_records", "_timed", "decoded", "decoding", "encoded", "encoding", "request", "results",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        *,
        trace: "RequestTrace | None",
        logged: bool,
        timed: bool,
        records: RecordStream | None,
    ) -> None:
        super().__init__(trace)
        self._call = call
        self._logged = logged
        self._timed = timed
        self._records = records
        self.decoding = self.decoded = self.encoding = self.encoded = 0.0
        self.request: PredictRequest | None = None
        self.results: Results | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that tell a caller where the time went, once the answer is encoded."""
        if not self._timed:
            return []
        steps = (
            ("decode", self.decoded - self.decoding),
            ("queue", self.batch_started - self.decoded),
            ("batch", self.batch_ended - self.batch_started),
            ("total", self.encoded - self._call.began),
        )
        value = ", ".join(f"{name};dur={seconds * 1e3:.3f}" for name, seconds in steps)
        return [(b"server-timing", value.encode())]

    def ended(self, servable: Servable | None, code: int, now: float, error: BaseException | None = None) -> None:
        """Tell whoever asked what became of the request."""
        if self.trace is not None:
            self._end_trace(self.trace, servable, code, now, error)
        if self._logged:
            self._log(servable, code, now)
        if self._records is not None and servable is not None and self.request is not None:
            self._records.offer(
                request_id=self.request.id or sent_request_id(self._call.headers),
                model=servable.id.model,
                version=servable.id.version,
                signature=servable.signature,
                rows=self.request.rows,
                outputs=self.results,
                status=code,
                duration_s=now - self._call.began,
                trace_id=trace_fields(self._call.headers, self.trace).get("trace_id"),
            )

    def _end_trace(
        self,
        trace: "RequestTrace",
        servable: Servable | None,
        code: int,
        now: float,
        error: BaseException | None,
    ) -> None:
        trace.finish(
            (
                ("decode", self.decoding, self.decoded),
                ("queue", self.decoded, self.batch_started),
                ("encode", self.encoding, self.encoded),
            ),
            status=code,
            model=servable.id.model if servable is not None else None,
            version=servable.id.version if servable is not None else None,
            rows=len(self.request.rows) if self.request is not None else None,
            error=error,
            ended=now,
        )
        if servable is not None:
            servable.metrics.exemplify(now - self._call.began, trace.trace_number)

    def _log(self, servable: Servable | None, code: int, now: float) -> None:
        call = self._call
        fields: dict[str, object] = {
            "request_id": request_id(call.headers),
            **trace_fields(call.headers, self.trace),
            "route": call.route,
            "status": code,
        }
        if call.client:
            fields["client"] = call.client
        if servable is not None:
            fields |= {"model_name": servable.id.model, "model_version": servable.id.version}
        if self.request is not None:
            fields["rows"] = len(self.request.rows)
        fields["duration_ms"] = round((now - call.began) * 1e3, 3)
        logger.info("%s %s %d", call.method, call.path, code, extra=fields)
