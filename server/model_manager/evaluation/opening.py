"""A package by its path → an estimator that answers, held to what a server holds it to: its digest, its golden rows.

Place in the flow: the first step of evaluating, comparing, and of `model_manager.load`. A pickle is code, which runs in
this process: open only packages of people who may run code here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput, LoadFailed, PackageRefused, PredictionFailed
from model_manager.inference.artifact_formats import load_artifact
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.infer import infer_signature
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.repository.digests import sha256_of
from model_manager.repository.metadata import Metadata, declared_from, parse_metadata
from model_manager.repository.packages import (
    ARTIFACT_LIMIT,
    METADATA,
    artifact_name,
    declared_sha256,
    format_of,
    read_metadata,
)
from model_manager.repository.references import read_reference
from model_manager.repository.regular_files import Files
from model_manager.signature import Array, Declared, Rows, Signature

_ROWS_AT_ONCE: Final = 8192


@dataclass(frozen=True, slots=True)
class Package:
    """One version, opened. `sha256` is that of its artifact; `library_warning` tells of another scikit-learn."""

    name: str
    version: str
    folder: Path
    sha256: str
    artifact_bytes: int
    metadata: Metadata
    estimator: Any
    predictor: SklearnPredictor
    library_warning: str | None = None

    @property
    def signature(self) -> Signature:
        """What the version takes and gives."""
        return self.predictor.signature

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    def predict(
        self, rows: Rows, outputs: tuple[str, ...], place: Callable[[int], str] = "row {}".format
    ) -> dict[str, Array]:
        """Answer rows, so many at once that memory suffices. `place` names a row for people.

        Raises PredictionFailed with the first row that the model does not answer.
        """
        parts: list[dict[str, Array]] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = _cut(rows, start, min(start + _ROWS_AT_ONCE, len(rows)))
            try:
                with warnings_dropped():
                    parts.append(self.predictor.predict(part, outputs))
            except PredictionFailed as error:
                at, failure = self._guilty(part, outputs, error)
                raise PredictionFailed(f"{self}: {place(start + at)}: {failure}") from error
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}

    def _guilty(self, rows: Rows, outputs: tuple[str, ...], error: PredictionFailed) -> tuple[int, PredictionFailed]:
        """Find a row that is not answered even alone, by halves; the first where none is."""
        low, high = 0, len(rows)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                with warnings_dropped():
                    self.predictor.predict(_cut(rows, low, middle), outputs)
                low = middle
            except PredictionFailed as found:
                high, error = middle, found
        return low, error


def open_package(path: Path) -> Package:
    """Open the package in a folder, or the only version of a model, and hold it to its digest and its golden rows.

    Raises PackageRefused where there is no package, and LoadFailed with what keeps it from being served.
    """
    reference = read_reference(path)
    folder = reference.package()
    artifact = artifact_name(str(folder))
    if artifact is None:
        raise PackageRefused(f"{folder}: there is no model in it, only metadata; copy the artifact there")
    files = Files(str(folder))
    text, problem = read_metadata(str(folder / METADATA), files)
    if problem:
        raise LoadFailed("metadata_invalid", problem)
    metadata = parse_metadata(text) if text is not None else Metadata()
    place = folder / artifact
    try:
        with files.open(str(place), ARTIFACT_LIMIT) as file:
            sha256, size = sha256_of(file), file.tell()
            _check_digest(place, declared_sha256(text), sha256)
            file.seek(0)
            loaded = load_artifact(file, format_of(artifact), library_mismatch="warn", most_bytes=ARTIFACT_LIMIT.bytes)
    except OSError as error:
        raise LoadFailed("unreadable", f"{place}: cannot be read: {error.strerror}") from error
    predictor = _proven(loaded.estimator, loaded.declared, metadata)
    return Package(
        name=metadata.name or folder.parent.name,
        version=metadata.version or folder.name,
        folder=folder,
        sha256=sha256,
        artifact_bytes=size,
        metadata=metadata,
        estimator=loaded.estimator,
        predictor=predictor,
        library_warning=loaded.library_warning,
    )


def _check_digest(place: Path, declared: str | None, found: str) -> None:
    if declared is not None and declared != found:
        told = f"{place}: sha256 {declared[:12]}… is declared in metadata.json, the file has {found[:12]}…"
        raise LoadFailed("digest_mismatch", f"{told}: it was changed or cut short; publish the package again")


def _proven(estimator: Any, said: Declared | None, metadata: Metadata) -> SklearnPredictor:
    """Find the signature as the server's loader does, and hold the estimator to its golden rows."""
    golden = metadata.golden

    def decode(signature: Signature) -> Rows:
        assert golden is not None, "asked for golden rows that are there"
        try:
            return rows_from_instances(golden.instances, signature, source="golden.instances")
        except InvalidInput as error:
            raise LoadFailed("metadata_invalid", f"metadata.json: {error}") from None

    declared = declared_from(metadata)
    if said is not None and declared.columns is None and declared.tensor is None:
        declared = replace(declared, columns=said.columns, tensor=said.tensor)
    with warnings_dropped():
        signature = infer_signature(estimator, declared, golden_rows=decode if golden is not None else None)
        predictor = SklearnPredictor(estimator, signature)
        if golden is not None:
            check_golden(predictor, decode(signature), golden.outputs)
    return predictor


def _cut(rows: Rows, start: int, end: int) -> Rows:
    return Rows(tuple(block[start:end] for block in rows.blocks))
