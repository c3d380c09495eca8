"""Prove that a version answers: the steps between its bytes and a predictor, in a child first and then in the server.

Blocking. In the flow: loader → (child →) **here** → inference. Whatever a model's code raises comes out as LoadFailed.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, BinaryIO, Final, Literal, ParamSpec, TypeVar

import msgspec

from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput, LoadFailed, one_line
from model_manager.inference.artifact_formats import load_artifact
from model_manager.inference.estimator_files import LoadedEstimator
from model_manager.inference.features import example_row
from model_manager.inference.golden import check_golden
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.probe import refuse_raising
from model_manager.inference.signature.infer import infer_signature
from model_manager.inference.warm_up import small_model
from model_manager.repository.libraries import library_differences
from model_manager.repository.metadata import Golden, Metadata, declared_from, parse_metadata
from model_manager.repository.packages import Format
from model_manager.signature import Rows, Signature

_P = ParamSpec("_P")
_T = TypeVar("_T")
_BY_LIBRARIES: Final = frozenset(
    {"corrupt", "golden_mismatch", "library_mismatch", "not_a_model", "predict_raises", "unsupported_format"}
)
"""Reasons that another library, or none, may be behind."""


class Reading(msgspec.Struct, frozen=True):
    """How an artifact is read: its format, what its author says of it, and the operator's demands (see Policy)."""

    format: Format
    metadata: bytes | None
    library_mismatch: Literal["refuse", "warn"]
    skops_trusted: tuple[str, ...]
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Described:
    """An estimator as a predictor, and rows that it should answer: the golden ones, or one that is made up."""

    estimator: Any
    predictor: SklearnPredictor
    example: Rows | None


def contained(step: str, call: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """Run a step of loading; whatever it raises, LoadFailed is what comes out.

    A model's code may raise SystemExit, which would end the program, a cancellation, which would leave the version
    loading for ever, StopIteration, which no future can hold, and exceptions that fail when they are asked for a text.
    """
    try:
        return call(*arguments, **options)
    except LoadFailed:
        raise
    except BaseException as error:
        ordinary = isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError)
        raise LoadFailed("internal" if ordinary else "model_raised", f"{step} raised {one_line(error)}") from error


def read(artifact: BinaryIO, reading: Reading) -> tuple[LoadedEstimator, Metadata]:
    """Read metadata before the artifact: it is text, and tells sooner that something is wrong."""
    metadata = parse_metadata(reading.metadata) if reading.metadata is not None else Metadata()
    with _libraries_told(metadata):
        loaded = load_artifact(
            artifact,
            reading.format,
            library_mismatch=reading.library_mismatch,
            skops_trusted=reading.skops_trusted,
            most_bytes=reading.most_bytes,
        )
    return loaded, metadata


def describe(loaded: LoadedEstimator, metadata: Metadata, signature: Signature | None = None) -> Described:
    """Find out what the estimator takes and gives, unless that is known from a child: its `signature`."""
    golden = metadata.golden

    def decode(signature: Signature) -> Rows:
        assert golden is not None
        return _golden_rows(golden, signature)

    if signature is None:
        declared = declared_from(metadata)
        if loaded.declared is not None and declared.columns is None and declared.tensor is None:
            declared = replace(declared, columns=loaded.declared.columns, tensor=loaded.declared.tensor)
        signature = infer_signature(loaded.estimator, declared, golden_rows=decode if golden is not None else None)
    predictor = SklearnPredictor(loaded.estimator, signature)
    return Described(loaded.estimator, predictor, decode(signature) if golden is not None else example_row(signature))


def prove(loaded: LoadedEstimator, metadata: Metadata, signature: Signature | None = None) -> Described:
    """Describe the estimator, and hold it to its golden rows, or to any rows at all; which warms it up as well."""
    with _libraries_told(metadata):
        described = describe(loaded, metadata, signature)
        if metadata.golden is not None:
            assert described.example is not None
            check_golden(described.predictor, described.example, metadata.golden.outputs)
        else:
            refuse_raising(described.estimator, described.predictor, described.example)
    return described


@contextmanager
def _libraries_told(metadata: Metadata) -> Iterator[None]:
    """Add to what goes wrong inside which libraries are missing or others than when the version was packed."""
    try:
        yield
    except LoadFailed as error:
        told = library_differences(metadata.libraries or ())
        if not told or error.reason not in _BY_LIBRARIES:
            raise
        raise LoadFailed(error.reason, f"{error}; {told}") from error


def _golden_rows(golden: Golden, signature: Signature) -> Rows:
    try:
        return rows_from_instances(golden.instances, signature, source="golden.instances")
    except InvalidInput as error:
        raise LoadFailed("metadata_invalid", f"metadata.json: {error}") from None


def warm_up() -> None:
    """Read and prove a small model of our own, for what is done once in a process and then remembered."""
    reading = Reading("joblib", None, "warn", skops_trusted=(), most_bytes=1 << 20)
    prove(*read(BytesIO(small_model()), reading))
