"""Copies of answered requests for a version that shadows the others: nobody waits for what it makes of them.

In the flow: an answer was written → **shadowing** → the shadow's batcher, in batches of copies alone → counted, apart
from requests, and recorded as copies. Requests go first: a copy is dropped where it would cost one its time, or where
many wait already.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter, thread_time
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from model_manager.call import Call, sent_request_id
from model_manager.codecs.bounds import LARGE_BODY
from model_manager.errors import InvalidInput, PredictionFailed, one_line
from model_manager.inference.out_of_range import out_of_range
from model_manager.metrics import Metrics
from model_manager.records import RecordStream
from model_manager.serving.batch import Results
from model_manager.serving.outcomes import code_of
from model_manager.serving.registry import Registry
from model_manager.serving.servable import Servable
from model_manager.signature import PredictRequest

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 32
"""Copies for one version that may wait for those before them."""
_BUSY: Final = 0.8
"""The event loop has no time to spare when its thread computes for more than this share of the time."""
_WINDOW_S: Final = 0.1


class _Copy(NamedTuple):
    call: Call
    body: bytes


class _Line:
    """What one shadow has to do: copies that wait until those that it is computing are done, or for their turn."""

    __slots__ = ("called", "computing", "waiting")

    def __init__(self) -> None:
        self.waiting: list[_Copy] = []
        self.computing = 0
        self.called = False


class _Sent(NamedTuple):
    """A copy that the shadow computes; `began` in perf_counter seconds."""

    copy: _Copy
    request: PredictRequest
    began: float


class LoopLoad:
    """Whether the thread that calls it, which is that of the event loop, had time to spare lately."""

    def __init__(self, clock: Callable[[], float] = perf_counter, computed: Callable[[], float] = thread_time) -> None:
        """`clock` and `computed`: seconds of the world's, and of this thread's at work."""
        self._clock = clock
        self._computed = computed
        self._window = (clock(), computed())
        self._busy = False

    def is_busy(self) -> bool:
        """Judge by the last stretch of at least a tenth of a second."""
        now, (began, computed) = self._clock(), self._window
        if now - began >= _WINDOW_S:
            self._window = (now, self._computed())
            self._busy = (self._window[1] - computed) / (now - began) > _BUSY
        return self._busy


class Shadowing:
    """Sends copies to shadows. Everything happens on the event loop, after the request's own answer was written."""

    def __init__(self, registry: Registry, metrics: Metrics, records: RecordStream | None) -> None:
        self._registry = registry
        self._metrics = metrics
        self._records = records
        self._load = LoopLoad()
        self._lines: WeakKeyDictionary[Servable, _Line] = WeakKeyDictionary()
        self._failed: WeakSet[Servable] = WeakSet()

    def copy_of(self, call: Call, body: bytes, answering: Servable) -> Callable[[], None] | None:
        """What sends a copy of a request, once it is answered; None where no other version is its model's shadow."""
        shadow = self._registry.shadows.get(call.model)
        return None if shadow is None or shadow is answering else partial(self.offer, call, body, answering)

    def offer(self, call: Call, body: bytes, answering: Servable) -> None:
        """Queue a copy, or drop it; never raises, since the request was answered."""
        try:
            self._offer(call, body, answering)
        except Exception:
            logger.exception("a copy was not sent, which should not happen")

    def _offer(self, call: Call, body: bytes, answering: Servable) -> None:
        shadow = self._registry.shadows.get(call.model)  # which may be another by now
        if shadow is None or shadow is answering or self._registry.stopping:
            return
        line = self._lines.get(shadow)
        if line is None:
            line = self._lines[shadow] = _Line()
        if len(body) >= LARGE_BODY:
            self._drop(shadow, "too_large")
        elif answering.batcher.has_backlog or self._load.is_busy():
            self._drop(shadow, "server_busy")
        elif len(line.waiting) >= MOST_WAITING or not (line.computing or shadow.batcher.idle):
            self._drop(shadow, "shadow_busy")
        else:
            line.waiting.append(_Copy(call, body))
            self._call(shadow, line)

    def _call(self, shadow: Servable, line: _Line) -> None:
        """See that what waits is sent in the next turn of the loop, if nothing that was sent is still computed."""
        if line.waiting and not line.called and not line.computing:
            line.called = True
            asyncio.get_running_loop().call_soon(self._send, shadow, line)

    def _send(self, shadow: Servable, line: _Line) -> None:
        """Have the shadow compute all that wait for it, unless it computes for somebody who waits."""
        copies, line.waiting, line.called = line.waiting, [], False
        batcher = shadow.batcher
        if batcher.closed or not batcher.idle:
            for _ in copies:
                self._drop(shadow, "shadow_busy")
            return
        sent = [one for one in (self._decoded(copy, shadow) for copy in copies) if one is not None]
        if not sent:
            return
        shadow.leases += len(sent)
        line.computing = len(sent)
        futures = batcher.submit_copies([(one.request.rows, one.request.outputs) for one in sent])
        for one, future in zip(sent, futures, strict=True):
            future.add_done_callback(partial(self._computed, shadow, line, one))

    def _decoded(self, copy: _Copy, shadow: Servable) -> _Sent | None:
        began = perf_counter()
        try:
            request = shadow.codecs[copy.call.protocol].decode(copy.call.headers, copy.body)
        except BaseException as error:  # what decodes may call code of the model
            self._count(shadow, error, perf_counter() - began)
            return None
        if len(request.rows) > shadow.batcher.most_rows:
            self._drop(shadow, "too_large")
            return None
        return _Sent(copy, request, began)

    def _computed(self, shadow: Servable, line: _Line, sent: _Sent, future: asyncio.Future[Results]) -> None:
        took = perf_counter() - sent.began
        error = future.exception()
        try:
            if isinstance(error, PredictionFailed):
                place = out_of_range(error.__cause__ or error, sent.request.rows, shadow.signature)
                error = error if place is None else InvalidInput(place)
            code = self._count(shadow, error, took)
            if self._records is not None:
                self._record(self._records, shadow, sent, None if error is not None else future.result(), code, took)
        finally:
            shadow.release()
            line.computing -= 1
            self._call(shadow, line)

    def _count(self, shadow: Servable, error: BaseException | None, took: float) -> int:
        code = 200 if error is None else code_of(error)
        if shadow.batcher.closed:  # what ends of a version that is gone must not bring its series back
            return code
        self._metrics.shadow_requests.labels(*shadow.id, str(code)).inc()
        self._metrics.shadow_seconds.labels(*shadow.id).observe(took)
        if error is not None and shadow not in self._failed:
            self._failed.add(shadow)
            said = error.shown if isinstance(error, PredictionFailed) else one_line(error)
            fields = {"model_name": shadow.id.model, "model_version": shadow.id.version}
            logger.warning("%s as a shadow: a copy failed: %s; more are only counted", shadow.id, said, extra=fields)
        return code

    def _drop(self, shadow: Servable, reason: str) -> None:
        if not shadow.batcher.closed:
            self._metrics.shadow_dropped.labels(*shadow.id, reason).inc()

    def _record(
        self, records: RecordStream, shadow: Servable, sent: _Sent, results: Results | None, code: int, took: float
    ) -> None:
        records.offer(
            request_id=sent.request.id or sent_request_id(sent.copy.call.headers),
            model=shadow.id.model,
            version=shadow.id.version,
            signature=shadow.signature,
            rows=sent.request.rows,
            outputs=results,
            status=code,
            duration_s=took,
            trace_id=None,
            shadow=True,
        )
