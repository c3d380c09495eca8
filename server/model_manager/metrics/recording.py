"""What is counted and timed: the instruments of one server process, and one version's view with its labels bound.

In the flow: request path, batcher and manager call these; a scrape reads `families`. Loop only.
"""

import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter, time
from typing import Final, Literal
from weakref import WeakSet

import numpy as np

from model_manager.errors import one_line
from model_manager.metrics.catalogue import explanations, predictions, process, requests, versions
from model_manager.metrics.instruments import Family, Instrument, Series, observe_rows
from model_manager.metrics.predictions import COUNTED_OUTPUT, Distribution, distribution_of
from model_manager.signature import Array, Signature

logger = logging.getLogger(__name__)

FOLD_AT: Final = 1024
"""So many requests are noted down before they are put into the histograms, unless a scrape comes first."""
FOLD_ROWS_AT: Final = 8 * FOLD_AT
"""And so many rows, of which one request may have a thousand."""

DropReason = Literal[
    "queue_full", "unloaded", "expired_in_queue", "expired_in_batch", "cancelled_in_queue", "cancelled_in_batch"
]
ExplainOutcome = Literal["explained", "refused", "queue_full", "expired", "mismatch", "failed"]


class Metrics:
    """All counters and histograms of one server process. Not thread-safe: use them on the event loop only."""

    def __init__(self) -> None:
        self.requests = Instrument(requests.REQUESTS)
        self.unrouted_requests = Instrument(requests.UNROUTED_REQUESTS)
        self.dropped_requests = Instrument(requests.DROPPED_REQUESTS)
        self.client_requests = Instrument(requests.CLIENT_REQUESTS)
        self.request_seconds = Instrument(requests.REQUEST_SECONDS)
        self.decode_seconds = Instrument(requests.DECODE_SECONDS)
        self.queue_seconds = Instrument(requests.QUEUE_SECONDS)
        self.batch_seconds = Instrument(requests.BATCH_SECONDS)
        self.predict_seconds = Instrument(requests.PREDICT_SECONDS)
        self.encode_seconds = Instrument(requests.ENCODE_SECONDS)
        self.rows = Instrument(requests.ROWS_PREDICTED)
        self.batch_rows = Instrument(requests.BATCH_ROWS)
        self.predictions = Instrument(predictions.PREDICTIONS)
        self.prediction_value = Instrument(predictions.PREDICTION_VALUE)
        self.shadow_requests = Instrument(requests.SHADOW_REQUESTS)
        self.shadow_dropped = Instrument(requests.SHADOW_DROPPED)
        self.shadow_seconds = Instrument(requests.SHADOW_SECONDS)
        self.explanations = Instrument(explanations.EXPLANATIONS)
        self.explain_seconds = Instrument(explanations.EXPLAIN_SECONDS)
        self.load_failures = Instrument(versions.LOAD_FAILURES)
        self.given_up = Instrument(versions.GIVEN_UP)
        self.process_ends = Instrument(versions.PROCESS_ENDS)
        self.process_changes = Instrument(process.PROCESS_CHANGES)
        self.source_failures = Instrument(versions.SOURCE_FAILURES)
        self.event_loop_lag = Instrument(process.EVENT_LOOP_LAG)
        self._views: WeakSet[ServableMetrics] = WeakSet()
        self._by_version: defaultdict[tuple[str, str], WeakSet[ServableMetrics]] = defaultdict(WeakSet)
        self._of_versions = (
            self.requests, self.dropped_requests, self.request_seconds, self.decode_seconds, self.queue_seconds,
            self.batch_seconds, self.predict_seconds, self.encode_seconds, self.rows, self.batch_rows, self.predictions,
            self.prediction_value, self.load_failures, self.given_up, self.process_ends, self.shadow_requests,
            self.shadow_dropped, self.shadow_seconds, self.explanations, self.explain_seconds,
        )  # fmt: skip

    def servable(
        self, model: str, version: str, signature: Signature | None = None, edges: Sequence[float] | None = None
    ) -> "ServableMetrics":
        """The view of one version. Its predictions are counted if its signature says that they can be."""
        view = ServableMetrics(self, model, version, signature, edges)
        self._views.add(view)
        self._by_version[model, version].add(view)
        return view

    def forget(self, model: str, version: str) -> None:
        """Remove every series of a version that is gone; a request of it that ends later is counted no more."""
        for view in self._by_version.pop((model, version), ()):
            view.detach()
        for instrument in self._of_versions:
            instrument.remove(model, version)

    def switch(self, on: bool) -> None:
        """Count what versions do, or let it pass: only what weighs the cost of counting ever lets it pass."""
        for view in self._views:
            view.switch(on)

    def versions(self) -> list[tuple[str, str]]:
        """The models and versions of which requests are counted."""
        return list(self._by_version)

    def answered_by(self, model: str, version: str) -> list[tuple[tuple[str, ...], float]]:
        """Requests that a version has answered so far, by model, version and code; none once it is forgotten."""
        for view in self._by_version.get((model, version), ()):
            view.fold()
        return [(one.labels, one.value) for one in self.requests.owned(model, version)]

    def families(self) -> list[Family]:
        """What was counted and timed so far."""
        for view in self._views:
            view.fold()
        of_process = (
            *(self.unrouted_requests, self.client_requests, self.source_failures),
            *(self.process_changes, self.event_loop_lag),
        )
        return [instrument.family() for instrument in (*self._of_versions, *of_process)]


class ServableMetrics:
    """The metrics of one version with their labels bound once, so that the request path looks nothing up."""

    def __init__(
        self,
        metrics: Metrics,
        model: str,
        version: str,
        signature: Signature | None = None,
        edges: Sequence[float] | None = None,
    ) -> None:
        self._metrics = metrics
        self._labels = labels = (model, version)
        self._by_code: dict[int, Series] = {}
        self._ok = self._requests(200)
        self._request = metrics.request_seconds.labels(*labels)
        self._decode = metrics.decode_seconds.labels(*labels)
        self._queue = metrics.queue_seconds.labels(*labels)
        self._batch = metrics.batch_seconds.labels(*labels)
        self._predict = metrics.predict_seconds.labels(*labels)
        self._encode = metrics.encode_seconds.labels(*labels)
        self._batch_rows = metrics.batch_rows.labels(*labels)
        self._rows = metrics.rows.labels(*labels)
        # Noted down by requests and batches, and put into the histograms many at a time: that is done in a fraction of
        # the time, and leaves the processor's caches to the next request.
        self._on = True
        self._answers: list[float] = []
        self.answered: Callable[[tuple[float, float, float]], object] = self._answers.extend
        """Count a request answered with 200: the seconds of all of it, of decoding and of encoding. No method, because
        a call of Python's is what most of counting costs; `ran`, called for every batch, sees to the folding."""
        self._waits: list[float] = []
        self._batches: list[float] = []
        self._exemplars: dict[int, tuple[float, int, float]] = {}  # by bucket: more than the newest is never shown
        self._calls: list[int] = []
        self._rows_noted = 0
        self._predicted: list[Array] = []
        self._signature = signature
        self._edges = edges
        self._predictions: Distribution | None = None
        # Where another artifact of the version was counted before, its series stay until this one answers.
        self._replaces = metrics.predictions.has(*labels) or metrics.prediction_value.has(*labels)
        if not self._replaces:
            self._begin_predictions()

    def switch(self, on: bool) -> None:
        """See Metrics.switch."""
        self._on = on
        self.answered = self._answers.extend if on else id  # which does nothing, at the least that a call can cost

    def failed(self, code: int, request: float) -> None:
        """Count a request that ended with another status."""
        if not self._on:
            return
        self._requests(code).inc()
        self._request.observe(request)

    def exemplify(self, request: float, trace_id: int) -> None:
        """Let the seconds of a request that ended just now, and was counted, point to its trace."""
        self._exemplars[bisect_left(self._request.bounds, request)] = (request, trace_id, perf_counter())

    def dropped(self, reason: DropReason) -> None:
        """Count a request that was right and got no prediction."""
        if not self._on:
            return
        self._metrics.dropped_requests.labels(*self._labels, reason).inc()

    def explained(self, outcome: ExplainOutcome, seconds: float) -> None:
        """Count a request for an explanation, and time one that was answered."""
        self._metrics.explanations.labels(*self._labels, outcome).inc()
        if outcome == "explained":
            self._metrics.explain_seconds.labels(*self._labels).observe(seconds)

    def gave_up(self) -> None:
        """Count a prediction that did not return."""
        self._metrics.given_up.labels(*self._labels).inc()

    def process_ended(self) -> None:
        """Count an end of the process in which the version predicts."""
        self._metrics.process_ends.labels(*self._labels).inc()

    def ran(
        self, waits: Iterable[float], batch: float, predict: float, calls: Iterable[tuple[int, Mapping[str, Array]]]
    ) -> None:
        """Count a batch: how long each request waited for it, how long it took from queue to answers, the predictor's
        part, and the rows of each call.
        """
        if not self._on:
            return
        self._waits += waits
        self._batches += (batch, predict)
        for rows, results in calls:
            self._calls.append(rows)
            self._rows_noted += rows
            if (self._predictions is not None or self._replaces) and COUNTED_OUTPUT in results:
                self._predicted.append(results[COUNTED_OUTPUT])
        if self._rows_noted >= FOLD_ROWS_AT or len(self._waits) >= FOLD_AT or len(self._batches) >= FOLD_AT:
            self.fold()

    def fold(self) -> None:
        """Put what was noted down into the histograms: before every scrape, and when much has gathered."""
        answers, batches = self._answers, self._batches
        if answers:
            self._ok.value += len(answers) // 3
            observe_rows((self._request, self._decode, self._encode), answers)
            answers.clear()
        if self._waits:
            self._queue.observe_all(self._waits)
            self._waits.clear()
        if batches:
            observe_rows((self._batch, self._predict), batches)
            batches.clear()
        if self._exemplars:
            distance = time() - perf_counter()
            for request, trace_id, ended in self._exemplars.values():
                self._request.exemplify(request, f"{trace_id:032x}", ended + distance)
            self._exemplars.clear()
        if self._calls:
            if self._replaces:
                self._replaces = False
                self._begin_predictions()
            self._batch_rows.observe_all(self._calls)
            self._calls.clear()
            self._rows.value += self._rows_noted
            self._rows_noted = 0
        if self._predicted:
            predicted, self._predicted = self._predicted, []
            if self._predictions is not None:
                try:
                    self._predictions.count(np.concatenate(predicted) if len(predicted) > 1 else predicted[0])
                except BaseException as error:  # what a model answered may raise what it likes when it is looked at
                    logger.warning("predictions of %s/%s cannot be counted: %s", *self._labels, one_line(error))

    def detach(self) -> None:
        """Count on where nobody looks: the version is gone, and what still ends of it must not bring series back."""
        self._metrics = Metrics()
        self._replaces = False
        if self._predictions is not None:
            self._begin_predictions()

    def _begin_predictions(self) -> None:
        if self._signature is not None:
            self._predictions = distribution_of(
                self._signature,
                self._edges,
                labels=self._metrics.predictions,
                values=self._metrics.prediction_value,
                version=self._labels,
            )

    def _requests(self, code: int) -> Series:
        series = self._by_code.get(code)
        if series is None:
            series = self._by_code[code] = self._metrics.requests.labels(*self._labels, str(code))
        return series
