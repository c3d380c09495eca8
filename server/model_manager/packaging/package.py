"""Fitted estimator → package: the artifact, and a metadata.json that says what a server and a reader need to know.

Place in the flow: the end of a training script, and of `model-manager pack`. The artifact is loaded back before it is
published, and the golden answers are those of the copy that came back: what would not serve is refused here.
"""

import datetime
import hashlib
import io
import os
import platform
import re
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput, LoadFailed, PackageRefused, PredictionFailed
from model_manager.inference.estimator_files import SKLEARN_VERSION, dump_estimator, load_estimator
from model_manager.inference.golden import check_golden
from model_manager.inference.methods import call, method_and_index
from model_manager.inference.predictor import SklearnPredictor
from model_manager.inference.signature.inference import infer_signature
from model_manager.inference.signature.inputs import infer_inputs
from model_manager.packaging.baseline import histogram
from model_manager.packaging.sample import Sample, declare, instances_of, null_for_missing, rows_of
from model_manager.repository.metadata import (
    ArtifactInfo,
    Baseline,
    ColumnInput,
    DataInfo,
    Evaluation,
    Framework,
    Golden,
    Metadata,
    OutputInfo,
    TensorInput,
)
from model_manager.repository.wanted import NAME_PATTERN
from model_manager.signature import Array, Declared, Layout, Rows, Signature

ARTIFACT_FILE: Final = "model.joblib"
METADATA_FILE: Final = "metadata.json"
GOLDEN_ROWS: Final = 3
MAX_COMPARED_ROWS: Final = 1000
MAX_BASELINE_ROWS: Final = 10_000
MAX_BASELINE_COLUMNS: Final = 256


def write_package(
    estimator: Any,
    *,
    name: str,
    version: str,
    repository: Path,
    sample: Sample | None = None,
    columns: Sequence[str] | None = None,
    data: DataInfo | None = None,
    evaluation: Evaluation | None = None,
    created: datetime.datetime | None = None,
    compress: int = 3,
) -> Path:
    """Write `<repository>/<name>/<version>/` whole or not at all, and return that folder.

    `sample` holds the training rows as fit saw them; without it there are no golden rows and no baseline. `columns`
    names the columns of an array. `created` makes builds reproducible; it defaults to now. `compress` is a zlib level.
    Raises PackageRefused: the version exists, the sample does not fit, or the artifact would not serve.
    """
    refuse_existing(repository, name, version)
    plain = dump_estimator(estimator)
    if b"__main__" in plain:
        message = "the estimator uses a class or function of the script that is running, which no server can import"
        raise PackageRefused(f"{message}; move it into an installed module")
    artifact = dump_estimator(estimator, compress=compress) if compress else plain
    return pack(
        artifact,
        name=name,
        version=version,
        repository=repository,
        sample=sample,
        columns=columns,
        data=data,
        evaluation=evaluation,
        created=created,
    )


def pack(
    artifact: bytes,
    *,
    name: str,
    version: str,
    repository: Path,
    sample: Sample | None = None,
    columns: Sequence[str] | None = None,
    data: DataInfo | None = None,
    evaluation: Evaluation | None = None,
    created: datetime.datetime | None = None,
) -> Path:
    """Write a package around an artifact that exists already; its bytes stay as they are. See write_package."""
    refuse_existing(repository, name, version)
    try:
        signature, golden, baseline = _prove(artifact, sample, columns)
    except (InvalidInput, LoadFailed, PredictionFailed) as error:
        raise PackageRefused(f"{name}/{version} would not serve: {error}") from error
    metadata = Metadata(
        name=name,
        version=version,
        created=created or datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        framework=Framework(version=SKLEARN_VERSION),
        python=platform.python_version(),
        artifact=ArtifactInfo(file=ARTIFACT_FILE, sha256=hashlib.sha256(artifact).hexdigest(), bytes=len(artifact)),
        inputs=_inputs(signature),
        outputs=[
            OutputInfo(name=one.name, datatype=one.datatype, shape=list(one.shape), classes=list(one.classes) or None)
            for one in signature.outputs
        ],
        data=data,
        evaluation=evaluation,
        golden=golden,
        baseline=baseline,
    )
    text = metadata.model_dump_json(indent=2, exclude_none=True) + "\n"
    return _publish(repository, name, version, {ARTIFACT_FILE: artifact, METADATA_FILE: text.encode()})


def describe_data(table: pd.DataFrame, *, uri: str, git_commit: str | None = None) -> DataInfo:
    """Describe a training table; the digest is that of its canonical CSV: UTF-8, a header, no index, "\\n"."""
    text = table.to_csv(index=False, lineterminator="\n")
    return DataInfo(
        uri=uri,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        rows=len(table),
        columns=table.shape[1],
        git_commit=git_commit,
    )


def refuse_existing(repository: Path, name: str, version: str) -> None:
    """Raise PackageRefused when the version exists, or a name would not do as a folder, a URL and a label."""
    for what, value in (("model name", name), ("version", version)):
        if not re.fullmatch(NAME_PATTERN, value):
            raise PackageRefused(f"{what} {value!r} is not letters, digits, '-', '_' and (not first) '.'")
    folder = repository / name / version
    if folder.exists():
        raise PackageRefused(f"{folder} exists; a version is never overwritten, choose another")


def _prove(
    artifact: bytes, sample: Sample | None, columns: Sequence[str] | None
) -> tuple[Signature, Golden | None, Baseline | None]:
    """Do what a server will do: load, find the signature, predict. Needs a sample for more than the signature."""
    estimator = load_estimator(io.BytesIO(artifact), library_mismatch="refuse").estimator
    if sample is None:
        return _named(infer_signature(estimator), columns), None, None
    if not len(sample):
        raise PackageRefused("the sample has no rows")
    declared = declare(sample, infer_inputs(estimator, Declared())[0].layout, columns)
    signature = infer_signature(estimator, declared, golden_rows=lambda draft: _spread(rows_of(sample, draft), 1))
    rows = rows_of(sample, signature)
    predictor = SklearnPredictor(estimator, signature)
    names = tuple(output.name for output in signature.outputs)
    golden_rows = _spread(rows, GOLDEN_ROWS)
    answers = predictor.predict(golden_rows, names)
    golden = Golden(
        instances=instances_of(golden_rows, signature),
        outputs={output: null_for_missing(values.tolist()) for output, values in answers.items()},
    )
    # As the server will read them: from JSON's values, not from the sample's arrays.
    check_golden(predictor, rows_from_instances(golden.instances, signature, source="golden"), golden.outputs)
    _check_as_given(estimator, sample, predictor, rows)
    seen = _spread(rows, MAX_BASELINE_ROWS)
    return signature, golden, _baseline(signature, seen, predictor.predict(seen, names))


def _named(signature: Signature, columns: Sequence[str] | None) -> Signature:
    if not columns or signature.layout is not Layout.ARRAY or signature.columns is None:
        return signature
    if len(columns) != len(signature.columns):
        raise PackageRefused(f"{len(columns)} column names for {len(signature.columns)} columns")
    named = tuple(replace(column, name=name) for column, name in zip(signature.columns, columns, strict=True))
    return replace(signature, columns=named, named=True)


def _check_as_given(estimator: Any, sample: Sample, predictor: SklearnPredictor, rows: Rows) -> None:
    """Compare with the answers to the DataFrame itself, whose dtypes and words for "missing" a server never sees."""
    if predictor.signature.layout is not Layout.FRAME or not isinstance(sample, pd.DataFrame):
        return
    output = predictor.signature.default_output
    chosen = _evenly(len(rows), MAX_COMPARED_ROWS)
    try:
        own = call(estimator, method_and_index(output)[0], sample.iloc[chosen])
    except Exception:
        return  # rows that only a server's plain types make acceptable
    if isinstance(own, np.ndarray):
        try:
            check_golden(predictor, _at(rows, chosen), {output: own.tolist()})
        except LoadFailed as failure:
            raise PackageRefused(f"answers to the sample change when a server reads it: {failure}") from failure


def _spread(rows: Rows, count: int) -> Rows:
    return _at(rows, _evenly(len(rows), count))


def _at(rows: Rows, chosen: Array) -> Rows:
    return Rows(tuple(block[chosen] for block in rows.blocks))


def _evenly(total: int, count: int) -> Array:
    """Choose up to `count` positions, evenly from the first to the last."""
    return np.unique(np.linspace(0, total - 1, num=min(count, total)).astype(int))


def _inputs(signature: Signature) -> list[ColumnInput] | list[TensorInput] | None:
    columns = signature.columns
    if columns is None:
        return None
    mixed = len({column.datatype for column in columns}) > 1
    if signature.layout is Layout.FRAME or (signature.named and mixed):
        return [
            ColumnInput(
                name=column.name,
                datatype=column.datatype,
                nullable=column.nullable,
                categories=list(column.categories) or None,
            )
            for column in columns
        ]
    # One word for the whole tensor; where columns differ, the loader tries them out again.
    nullable = {column.nullable for column in columns}
    return [
        TensorInput(
            name=signature.tensor,
            datatype=signature.datatype,
            shape=[-1] if signature.layout is Layout.TEXT else [-1, len(columns)],
            columns=[column.name for column in columns] if signature.named else None,
            nullable=nullable.pop() if len(nullable) == 1 else None,
        )
    ]


def _baseline(signature: Signature, rows: Rows, answers: dict[str, Array]) -> Baseline:
    features: dict[str, Array] = {}
    if signature.layout is not Layout.TEXT and signature.columns is not None:
        frame = signature.layout is Layout.FRAME
        for at, column in enumerate(signature.columns[:MAX_BASELINE_COLUMNS]):
            features[column.name] = rows.blocks[at] if frame else rows.blocks[0][:, at]
    outputs: dict[str, Array] = {}
    for name, values in answers.items():
        if values.ndim == 1:
            outputs[name] = values
        elif values.ndim == 2:
            outputs |= {f"{name}[{at}]": values[:, at] for at in range(min(values.shape[1], MAX_BASELINE_COLUMNS))}
    return Baseline(
        features={name: counted for name, values in features.items() if (counted := histogram(values)) is not None},
        outputs={name: counted for name, values in outputs.items() if (counted := histogram(values)) is not None},
    )


def _publish(repository: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """Write beside, flush to disk, rename: a server that watches the repository sees all of a version or none of it."""
    folder = repository / name / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".tmp-{version}-{uuid.uuid4().hex[:8]}"
    beside.mkdir()
    try:
        for file_name, content in files.items():
            with open(beside / file_name, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _flush_folder(beside)
        try:
            beside.rename(folder)
        except OSError as error:
            raise PackageRefused(f"{folder} cannot be published: {error.strerror}") from error
        _flush_folder(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _flush_folder(folder: Path) -> None:
    """Make names durable: without it a power cut may keep a file and lose its folder's entry."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
