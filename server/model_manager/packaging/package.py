"""Fitted estimator → package: the artifact, and a metadata.json that says what a server and a reader need to know.

Place in the flow: the end of a training script, and of `model-manager pack`. Rehearsed before it is published: what
would not serve is refused here.
"""

import datetime
import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from model_manager.errors import InvalidInput, LoadFailed, PackageRefused, PredictionFailed
from model_manager.inference.estimator_files import SKLEARN_VERSION
from model_manager.inference.imported_modules import imported_modules
from model_manager.packaging.libraries import libraries_of
from model_manager.packaging.pickling import pickled
from model_manager.packaging.public import describe_public
from model_manager.packaging.publishing import publish, refuse_existing
from model_manager.packaging.rehearsal import Rehearsal, load_back, rehearse
from model_manager.packaging.sample import Sample
from model_manager.packaging.signing import Signer
from model_manager.repository.location import without_credentials
from model_manager.repository.metadata import (
    ArtifactInfo,
    Card,
    ColumnInput,
    DataInfo,
    Evaluation,
    Framework,
    Metadata,
    OutputInfo,
    Scalar,
    TensorInput,
    parse_metadata,
)
from model_manager.repository.packages import Format
from model_manager.repository.signed_files import SIGNATURE
from model_manager.signature import Layout, Signature

METADATA_FILE: Final = "metadata.json"


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
    show_categories: Mapping[str, Sequence[Scalar]] | None = None,
) -> Path:
    """Write `<repository>/<name>/<version>/` whole or not at all, and return that folder.

    `sample` holds the training rows as fit saw them; without it there are no golden rows and no baseline. `columns`
    names the columns of an array. `show_categories` gives, by column, the categories that anybody may see in the
    model's metadata; without it those that many rows of the sample hold. `created` makes builds reproducible; it
    defaults to now. `compress` is a zlib level.
    Raises PackageRefused: the version exists, the sample does not fit, or the artifact would not serve.
    """
    refuse_existing(repository, name, version)
    return write_artifact(
        artifact_of(estimator, compress=compress),
        name=name,
        version=version,
        repository=repository,
        sample=sample,
        columns=columns,
        data=data,
        evaluation=evaluation,
        created=created,
        show_categories=show_categories,
    )


def artifact_of(estimator: Any, *, compress: int = 3) -> bytes:
    """Write an estimator as a joblib file. Raises PackageRefused for one that no server could read."""
    plain = pickled(estimator)
    if b"__main__" in plain:
        message = "the estimator uses a class or function of the script that is running, which no server can import"
        raise PackageRefused(f"{message}; move it into an installed module")
    return pickled(estimator, compress=compress) if compress else plain


def write_artifact(
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
    show_categories: Mapping[str, Sequence[Scalar]] | None = None,
) -> Path:
    """Write a package around the bytes of a joblib file; they stay as they are. See write_package."""
    refuse_existing(repository, name, version)
    with refused_if_not_served(name, version):
        found = rehearse(load_back(artifact), sample, columns)
    if show_categories is not None:
        found = replace(found, public_categories=_lists(show_categories))
    return publish_package(
        Contents(artifact, found, data=data, evaluation=evaluation, created=created),
        name=name,
        version=version,
        repository=repository,
    )


@contextmanager
def refused_if_not_served(name: str, version: str) -> Iterator[None]:
    """Raise PackageRefused for whatever would keep a server from serving the version."""
    try:
        yield
    except (InvalidInput, LoadFailed, PredictionFailed) as error:
        raise PackageRefused(f"{name}/{version} would not serve: {error}") from error


@dataclass(frozen=True, slots=True)
class Contents:
    """All that becomes a package: an artifact, what was found out of it, and what its author says of it."""

    artifact: bytes
    found: Rehearsal
    format: Format = "joblib"
    data: DataInfo | None = None
    evaluation: Evaluation | None = None
    card: Card | None = None
    created: datetime.datetime | None = None


def publish_package(
    contents: Contents, *, name: str, version: str, repository: Path, signer: Signer | None = None
) -> Path:
    """Write a package whole or not at all, signed where somebody signs, and return its folder.

    Raises PackageRefused where it cannot be written.
    """
    file = f"model.{contents.format}"
    text = _metadata(contents, name, version, file).model_dump_json(indent=2, exclude_none=True) + "\n"
    files = {file: contents.artifact, METADATA_FILE: text.encode()}
    if signer is not None:
        files[SIGNATURE] = signer.sign(files, version)
    return publish(repository, name, version, files)


def _metadata(contents: Contents, name: str, version: str, file: str) -> Metadata:
    artifact, found, data = contents.artifact, contents.found, contents.data
    return Metadata(
        name=name,
        version=version,
        created=contents.created or datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        framework=Framework(version=SKLEARN_VERSION),
        python=platform.python_version(),
        libraries=libraries_of(imported_modules(artifact, contents.format)),
        artifact=ArtifactInfo(file=file, sha256=hashlib.sha256(artifact).hexdigest(), bytes=len(artifact)),
        inputs=_inputs(found.signature),
        outputs=[
            OutputInfo(
                name=one.name,
                datatype=one.datatype,
                shape=list(one.shape),
                classes=list(one.classes) or None,
                on_request=one in found.signature.on_request or None,
            )
            for one in found.signature.offered
        ],
        data=data.model_copy(update={"uri": without_credentials(data.uri)}) if data is not None else None,
        evaluation=contents.evaluation,
        card=contents.card,
        public_categories=found.public_categories,
        golden=found.golden,
        baseline=found.baseline,
    )


def public_of(folder: Path) -> list[str]:
    """Say in lines what anybody who can ask a server will see of the package in a folder."""
    return describe_public(parse_metadata((folder / METADATA_FILE).read_bytes()))


def describe_data(
    table: pd.DataFrame, *, uri: str, git_commit: str | None = None, target: str | None = None
) -> DataInfo:
    """Describe a training table; the digest is that of its canonical CSV: UTF-8, a header, no index, "\\n".

    Of the URI, credentials are left out: a package is read by many.
    """
    text = table.to_csv(index=False, lineterminator="\n")
    return DataInfo(
        uri=without_credentials(uri),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        rows=len(table),
        columns=table.shape[1],
        git_commit=git_commit,
        target=target,
    )


def _lists(chosen: Mapping[str, Sequence[Scalar]]) -> dict[str, list[Scalar]]:
    return {column: list(values) for column, values in chosen.items()}


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
                missing=column.missing if column.missing != "NaN" else None,
                boxed=column.boxed or None,
                moments=str(column.moments) if column.moments is not None else None,
                dtype="category" if column.categorical else None,
            )
            for column in columns
        ]
    # One word for the whole tensor; where columns differ, the loader tries them out again.
    nullable = {column.nullable for column in columns}
    missing = {column.missing for column in columns}
    return [
        TensorInput(
            name=signature.tensor,
            datatype=signature.datatype,
            shape=[-1] if signature.layout is Layout.TEXT else [-1, len(columns)],
            columns=[column.name for column in columns] if signature.named else None,
            nullable=nullable.pop() if len(nullable) == 1 else None,
            missing="None" if missing == {"None"} else None,
            boxed=all(column.boxed for column in columns) or None,
        )
    ]
