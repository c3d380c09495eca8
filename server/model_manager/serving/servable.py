"""One version in service: what a request leases. Binds signature, codecs, batcher and metrics of one incarnation."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from model_manager.codecs.v1 import V1Codec
from model_manager.codecs.v2 import V2Codec
from model_manager.inference.compiled.compilation import CompileReport
from model_manager.inference.predictor import Predictor
from model_manager.metrics.recording import ServableMetrics
from model_manager.repository.metadata import Metadata
from model_manager.repository.wanted import ServableId
from model_manager.serving.batch import Results, Watch
from model_manager.serving.batcher import Batcher
from model_manager.signature import PredictRequest, Signature

LIBRARY_VERSIONS = {name: version(name) for name in ("scikit-learn", "numpy")}


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a version comes from: the digest of its bytes, what its author says, and a library mismatch if any.

    Shown with the versions of the libraries that serve it.
    """

    sha256: str
    metadata: Metadata
    library_warning: str | None

    @property
    def golden_rows(self) -> int:
        """The golden rows it was proven on."""
        return len(self.metadata.golden.instances) if self.metadata.golden is not None else 0

    @property
    def info_labels(self) -> tuple[str, str, str]:
        """Digest, scikit-learn version and numpy version."""
        return self.sha256, LIBRARY_VERSIONS["scikit-learn"], LIBRARY_VERSIONS["numpy"]

    def properties(self) -> dict[str, str]:
        """What the model's metadata says of it, as text."""
        said = self.metadata
        properties = {
            "sha256": self.sha256,
            "sklearn_version": LIBRARY_VERSIONS["scikit-learn"],
            "numpy_version": LIBRARY_VERSIONS["numpy"],
            "trained_with_sklearn": said.framework.version if said.framework is not None else None,
            "created": said.created.isoformat() if said.created is not None else None,
            "data_uri": said.data.uri if said.data is not None else None,
            "data_sha256": said.data.sha256 if said.data is not None else None,
            "library_warning": self.library_warning,
        }
        return {name: value for name, value in properties.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Form:
    """How a version's answers are computed, in numbers that people, the index and metrics show.

    `speedup`: how many times faster than scikit-learn the default output is, by batch size in rows.
    `largest_difference` to scikit-learn's answers, seen while proving. `reason`: why scikit-learn itself answers, once
    that was decided; `retry_at`: when compiling is tried again, if it is (Unix time).
    """

    name: str
    speedup: Mapping[int, float]
    largest_difference: float
    reason: str | None
    retry_at: float | None = None

    @classmethod
    def of(cls, predictor: Predictor, report: CompileReport | None) -> "Form":
        """Condense the report of compiling; None before it, or where none is wanted."""
        if report is None:
            return cls(predictor.form, {}, 0.0, None)
        return cls(predictor.form, report.speedup, report.largest_absolute_difference, report.reason, report.retry_at)

    def properties(self) -> dict[str, str]:
        """What the model's metadata says of it, as text."""
        properties = {"form": self.name}
        for rows, gain in self.speedup.items():
            properties[f"speedup_{rows}_rows"] = f"{gain:g}"
        if self.speedup:
            properties["largest_difference"] = f"{self.largest_difference:.3g}"
        if self.reason is not None:
            properties["not_compiled_because"] = self.reason
        if self.retry_at is not None:
            properties["compiled_again_at"] = datetime.fromtimestamp(self.retry_at, UTC).isoformat(timespec="seconds")
        return properties


class Servable:
    """A loaded, proven version. Leased by requests; unloaded when nobody holds it any more."""

    def __init__(
        self,
        id: ServableId,
        *,
        signature: Signature,
        predictor: Predictor,
        batcher: Batcher,
        provenance: Provenance,
        metrics: ServableMetrics,
        timeout_s: float,
        max_rows: int,
    ) -> None:
        self.id = id
        self.signature = signature
        self.predictor = predictor
        self.report: CompileReport | None = None
        self.batcher = batcher
        self.provenance = provenance
        self.metrics = metrics
        self.timeout_s = timeout_s
        self.v1 = V1Codec(signature, max_rows=max_rows)
        self.v2 = V2Codec(signature, max_rows=max_rows, model=id.model, version=id.version)
        self.load_seconds: dict[str, float] = {}
        self.headers = [
            (b"content-type", b"application/json"),
            (b"x-model-name", id.model.encode()),
            (b"x-model-version", id.version.encode()),
        ]
        self._leases = 0
        self._idle: asyncio.Event | None = None

    def use(self, predictor: Predictor, report: CompileReport, *, inline_rows: int) -> None:
        """Answer with another predictor, proven equal, from the next batch on; `report` says what it is."""
        self.report = report
        self.predictor = predictor
        self.batcher.use(predictor.predict, inline_rows=inline_rows)

    @property
    def in_flight(self) -> int:
        """Requests that hold a lease."""
        return self._leases

    @property
    def form(self) -> Form:
        """How answers are computed now, and what that gains."""
        return Form.of(self.predictor, self.report)

    def acquire(self) -> None:
        """Take a lease; hold it for one request, since it delays unloading."""
        self._leases += 1

    def release(self) -> None:
        """Give a lease back."""
        self._leases -= 1
        if self._idle is not None and not self._leases:
            self._idle.set()

    def predict(self, request: PredictRequest, watch: Watch | None = None) -> asyncio.Future[Results]:
        """Submit a decoded request; its timeout counts from now. `watch` is told of its batch.

        Raises Overloaded. Cancelling the future takes the request out of the queue.
        """
        batcher = self.batcher
        return batcher.submit(request.rows, request.outputs, batcher.now() + self.timeout_s, watch)

    async def drained(self) -> None:
        """Wait until no request holds a lease; no new one may be given out meanwhile."""
        if self._leases:
            self._idle = asyncio.Event()
            await self._idle.wait()
