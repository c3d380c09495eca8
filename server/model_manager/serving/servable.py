"""One version in service: what a request leases. Binds signature, codecs, batcher and metrics of one incarnation."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from model_manager.codecs.protocols import codecs_for
from model_manager.feedback import Kept
from model_manager.inference.compiled.compilation import CompileReport
from model_manager.inference.compiled.fastest import CompiledPredictor
from model_manager.inference.cost import InlineLimits
from model_manager.inference.predictor import Predictor, SklearnPredictor
from model_manager.metrics import ServableMetrics
from model_manager.repository.location import without_credentials
from model_manager.repository.metadata import Metadata
from model_manager.repository.wanted import ServableId
from model_manager.serving.batcher import Batcher
from model_manager.serving.journal import Noted
from model_manager.signature import Signature

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
            "data_uri": without_credentials(said.data.uri) if said.data is not None else None,
            "data_sha256": said.data.sha256 if said.data is not None else None,
            "data_git_commit": said.data.git_commit if said.data is not None else None,
            "data_dvc_md5": said.data.dvc_md5 if said.data is not None else None,
            "evaluation": json.dumps(said.evaluation.metrics) if said.evaluation is not None else None,
            "library_warning": self.library_warning,
        }
        return {name: value for name, value in properties.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Form:
    """How a version's answers are computed, in numbers that people, the index and metrics show.

    `speedup`: how many times faster than scikit-learn the default output is, by batch size in rows.
    `largest_difference` to scikit-learn's answers, seen while proving. `reason`: why scikit-learn itself answers, once
    that was decided. `failures`: batches on which a compiled form raised and another answered, by compiled form.
    `retry_at`: when compiling is tried again, if it is (Unix time).
    """

    name: str
    speedup: Mapping[int, float]
    largest_difference: float
    reason: str | None
    failures: Mapping[str, int]
    retry_at: float | None = None

    @classmethod
    def of(cls, predictor: Predictor, report: CompileReport | None) -> "Form":
        """Condense the report of compiling; None before it, or where none is wanted."""
        if report is None:
            return cls(predictor.form, {}, 0.0, None, {})
        difference = report.largest_absolute_difference
        failures = predictor.failures if isinstance(predictor, CompiledPredictor) else {}
        return cls(predictor.form, report.speedup, difference, report.reason, failures, report.retry_at)

    def properties(self) -> dict[str, str]:
        """What the model's metadata says of it, as text."""
        properties = {"form": self.name}
        if self.name == "process":
            properties["isolation"] = "process"
        for rows, gain in self.speedup.items():
            properties[f"speedup_{rows}_rows"] = f"{gain:g}"
        if self.speedup:
            properties["largest_difference"] = f"{self.largest_difference:.3g}"
        for name, times in self.failures.items():
            if times:
                properties[f"failures_{name}"] = str(times)
        if self.reason is not None:
            properties["not_compiled_because"] = self.reason
        if self.retry_at is not None:
            properties["compiled_again_at"] = datetime.fromtimestamp(self.retry_at, UTC).isoformat(timespec="seconds")
        return properties


class Servable:
    """A loaded, proven version. Leased by requests; unloaded when nobody holds it any more.

    `kept` holds its answers for labels to come, where those are taken. `plain` is what was loaded, whatever answers by
    now; None where that is in another process.
    """

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
        noted: Noted,
        kept: Kept | None = None,
    ) -> None:
        self.id = id
        self.signature = signature
        self.predictor = predictor
        self.report: CompileReport | None = None
        self.replacements = 0
        self.batcher = batcher
        self.provenance = provenance
        self.metrics = metrics
        self.timeout_s = timeout_s
        self.noted = noted
        self.plain = predictor if isinstance(predictor, SklearnPredictor) else None
        self.kept = kept
        self.codecs = codecs_for(signature, max_rows=max_rows, model=id.model, version=id.version)
        self.load_seconds: dict[str, float] = {}
        self.leases = 0  # requests that hold one; each delays unloading
        self._idle: asyncio.Event | None = None

    def use(self, predictor: Predictor, report: CompileReport | None, *, inline: InlineLimits) -> None:
        """Answer with another predictor, proven equal, from the next batch on; `report` says what it is."""
        self.report = report
        self.predictor = predictor
        self.replacements += 1
        self.batcher.use(self.noted.predict(predictor.predict), inline=inline)

    @property
    def form(self) -> Form:
        """How answers are computed now, and what that gains."""
        return Form.of(self.predictor, self.report)

    def release(self) -> None:
        """Give a lease back."""
        self.leases -= 1
        if self._idle is not None and not self.leases:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until no request holds a lease; no new one may be given out meanwhile."""
        if self.leases:
            self._idle = asyncio.Event()
            await self._idle.wait()
