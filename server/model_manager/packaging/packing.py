"""A model that exists, and all that its author has of it → a package: `model-manager pack`, and `pack` in Python.

In the flow: **here** → training_data and rehearsal (what the model is), lineage, card and scores (what is known of it),
and then package → publishing. What is wrong is said before anything is written.
"""

import datetime
import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import pandas as pd
from pydantic import ValidationError

from model_manager.errors import LoadFailed, PackageRefused, PredictionFailed
from model_manager.evaluation.opening import Package
from model_manager.inference.imported_modules import imported_modules
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.packaging.card import card_of, read_card
from model_manager.packaging.holdout import worth_on
from model_manager.packaging.libraries import refuse_missing
from model_manager.packaging.lineage import describe_file
from model_manager.packaging.package import (
    Contents,
    artifact_of,
    describe_data,
    publish_package,
    refused_if_not_served,
)
from model_manager.packaging.publishing import refuse_existing
from model_manager.packaging.rehearsal import Rehearsal, load_back, rehearse
from model_manager.packaging.signing import Signer, read_signer
from model_manager.packaging.training_data import TrainingRows, chosen_columns, rows_of_frame, rows_of_table
from model_manager.repository.metadata import Card, DataInfo, Evaluation, Metadata
from model_manager.repository.packages import Format
from model_manager.signature import Array
from model_manager.tables.table_files import Table, read_table

Data: TypeAlias = str | os.PathLike[str] | pd.DataFrame | Array
_FORMATS: Final[Mapping[str, Format]] = {
    ".joblib": "joblib",
    ".onnx": "onnx",
    ".pickle": "joblib",
    ".pkl": "joblib",
    ".sav": "joblib",
    ".skops": "skops",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What its author says of a model, beside the model itself. See pack."""

    data: Data | None = None
    target: str | None = None
    columns: Sequence[str] = ()
    holdout: str | os.PathLike[str] | pd.DataFrame | None = None
    fail_if: Sequence[str] = ()
    evaluation: Mapping[str, Any] | None = None
    card: Card | None = None
    data_version: str | None = None
    data_uri: str | None = None
    skops_trusted: Sequence[str] = ()
    created: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """A package that was written, and what its author should know of it. `failed`: the gates that it did not pass."""

    folder: Path
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def pack(
    model: Any,
    *,
    name: str,
    version: str,
    out: str | os.PathLike[str],
    data: Data | None = None,
    target: str | None = None,
    columns: Sequence[str] = (),
    holdout: str | os.PathLike[str] | pd.DataFrame | None = None,
    fail_if: Sequence[str] = (),
    evaluation: Mapping[str, Any] | None = None,
    card: str | os.PathLike[str] | Mapping[str, str] | None = None,
    data_version: str | None = None,
    data_uri: str | None = None,
    sign: str | os.PathLike[str] | None = None,
    skops_trusted: Sequence[str] = (),
    created: datetime.datetime | None = None,
) -> Path:
    """Write the package of a model, `<out>/<name>/<version>/`, whole or not at all, and return that folder.

    `model` is a fitted estimator, or the path of a .joblib, .pkl, .skops or .onnx file, whose bytes stay as they
    are. `data` is what it was fitted on: the path of a CSV or Parquet file, a DataFrame, or an array; `target` the
    column that it predicts, `columns` those it was fitted with, where it does not know their names. `holdout` is a
    file or a DataFrame on which it is scored, and `fail_if` are gates on it, as `evaluate` has them, whose outcome
    the package records; who has scores already gives `evaluation`: {"dataset": …, "rows": …, "metrics": {…}}.
    `card` is a file of Markdown, or some of {"owner", "description", "intended_use", "text"}. `data_version` and
    `data_uri` say which data it was and where it is kept; git and DVC are asked. `sign` is a private key in PEM.
    Raises PackageRefused and TableRefused with what is wrong, where, and what to do.
    """
    signer = read_signer(Path(sign), password=_no_password) if sign is not None else None
    packed = pack_model(
        model,
        Said(
            data=data,
            target=target,
            columns=columns,
            holdout=holdout,
            fail_if=fail_if,
            evaluation=evaluation,
            card=_card(card),
            data_version=data_version,
            data_uri=data_uri,
            skops_trusted=skops_trusted,
            created=created,
        ),
        name=name,
        version=version,
        repository=Path(out),
        signer=signer,
    )
    for note in packed.notes:
        warnings.warn(note, stacklevel=2)
    return packed.folder


def pack_model(
    model: Any,
    said: Said,
    *,
    name: str,
    version: str,
    repository: Path,
    signer: Signer | None = None,
    told: Callable[[str], None] = lambda doing: None,
) -> Packed:
    """Write the package of a model; see pack. `told` is called with what is being done."""
    refuse_existing(repository, name, version)
    told("reading the model")
    artifact, format = _artifact(model)
    modules = imported_modules(artifact, format)
    beside = Path(model).absolute().parent if isinstance(model, str | os.PathLike) else None
    refuse_missing(modules, beside)
    if "__main__" in modules:
        message = "the model uses a class or function of the script that made it, which no server can import"
        raise PackageRefused(f"{message}; move it into an installed module, and fit it again")
    with refused_if_not_served(name, version), warnings_dropped():
        estimator = load_back(artifact, format, said.skops_trusted)
        told("trying it on its data")
        found, info, notes = _rehearsed(estimator, said)
        package = Package(
            name=name,
            version=version,
            folder=repository / name / version,
            sha256=hashlib.sha256(artifact).hexdigest(),
            artifact_bytes=len(artifact),
            metadata=Metadata(data=info),
            estimator=estimator,
            predictor=found.predictor,
        )
        if said.holdout is not None:
            told("scoring it on the hold-out")
        evaluation, noted = _evaluation(package, said)
    told("publishing it")
    contents = Contents(artifact, found, format, info, evaluation, said.card, said.created)
    folder = publish_package(contents, name=name, version=version, repository=repository, signer=signer)
    gates = (evaluation.gates or ()) if evaluation is not None else ()
    return Packed(folder, (*notes, *noted), tuple(gate.expression for gate in gates if not gate.passed))


def _artifact(model: Any) -> tuple[bytes, Format]:
    """The bytes of a model, and how they are to be read."""
    if not isinstance(model, str | os.PathLike):
        return artifact_of(model), "joblib"
    path = Path(model)
    format = _FORMATS.get(path.suffix.lower())
    if path.is_dir():
        raise PackageRefused(f"{path} is a folder; name a model's file, such as model.joblib")
    if format is None:
        known = ", ".join(_FORMATS)
        raise PackageRefused(f"{path}: a model's name ends with {known}; write it with joblib.dump(model, 'm.joblib')")
    try:
        return path.read_bytes(), format
    except FileNotFoundError:
        raise PackageRefused(f"{path}: there is no such file") from None
    except OSError as error:
        raise PackageRefused(f"{path}: it cannot be read: {error.strerror}") from None


def _rehearsed(estimator: Any, said: Said) -> tuple[Rehearsal, DataInfo | None, tuple[str, ...]]:
    """Do what a server will do, with the rows of the training data where there are any, which are described too."""
    if said.data is None:
        return rehearse(estimator, None, said.columns or None), None, ()
    if isinstance(said.data, str | os.PathLike):
        path = Path(said.data)
        table = read_table(path)
        found = _first_that_serves(estimator, table, said)
        assert table.sha256 is not None, "a table of a file has its digest"
        info, notes = describe_file(
            path, sha256=table.sha256, rows=table.rows, columns=len(table.columns), target=said.target
        )
        notes = (*table.notes, *notes)
    else:
        frame = said.data if isinstance(said.data, pd.DataFrame) else None
        rows = TrainingRows(said.data) if frame is None else rows_of_frame(frame, estimator, said.target)
        found = rehearse(estimator, rows.sample, said.columns or None)
        info = describe_data(pd.DataFrame(said.data), uri="memory:", target=said.target)
        notes = ()
    told = {"uri": said.data_uri or info.uri, "version": said.data_version}
    return found, info.model_copy(update=told), notes


def _first_that_serves(estimator: Any, table: Table, said: Said) -> Rehearsal:
    """Rehearse with the rows of a table in the first of the ways in which fit may have seen them that serves."""
    refused: PackageRefused | LoadFailed | PredictionFailed | None = None
    if said.target is not None:
        chosen_columns(table, [said.target])  # which says when it is not there
    chosen = chosen_columns(table, said.columns) if said.columns else table
    for rows in rows_of_table(chosen, estimator, said.target):
        try:
            return rehearse(estimator, rows.sample, rows.columns)
        except (PackageRefused, LoadFailed, PredictionFailed) as error:
            refused = refused or error
    assert refused is not None, "there was a way, or a reason why there is none"
    raise refused


def _evaluation(package: Package, said: Said) -> tuple[Evaluation | None, tuple[str, ...]]:
    """What the author says of the model's worth, or what it is worth on the hold-out."""
    if said.evaluation is not None:
        try:
            return Evaluation.model_validate(said.evaluation), ()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise PackageRefused(f"evaluation: {where}: {first['msg']}; it has dataset, rows and metrics") from None
    if said.holdout is None:
        return None, ()
    return worth_on(said.holdout, package, target=said.target, columns=said.columns, fail_if=said.fail_if)


def _card(card: str | os.PathLike[str] | Mapping[str, str] | None) -> Card | None:
    if card is None:
        return None
    return card_of(card) if isinstance(card, Mapping) else read_card(Path(card))


def _no_password() -> str:
    raise PackageRefused("the private key is encrypted; sign the package afterwards: model-manager sign")
