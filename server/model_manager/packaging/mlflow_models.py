"""Models of MLflow ⇄ packages.

Place in the flow: `model-manager import mlflow` and `export`. What MLflow saved is read by MLflow itself, an extra;
what it reads is written without it: a folder with an MLmodel file, a pickle and the requirements.
https://mlflow.org/docs/latest/ml/model/
"""

import json
import os
import pickle
import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from model_manager.errors import LoadFailed, PackageRefused, one_line, without_secrets
from model_manager.inference.estimator_files import SKLEARN_VERSION, load_estimator
from model_manager.manifests.packages_named import read_named
from model_manager.packaging.package import write_package
from model_manager.packaging.publishing import write_folder
from model_manager.repository.metadata import ColumnInput, Metadata, TensorInput, parse_metadata
from model_manager.repository.packages import format_of
from model_manager.repository.whole_files import not_written

_PICKLE: Final = "model.pkl"
_TYPES: Final[dict[str, str]] = {
    "BOOL": "boolean",
    "INT8": "integer",
    "INT16": "integer",
    "INT32": "integer",
    "UINT8": "integer",
    "UINT16": "integer",
    "FP32": "float",
    "BYTES": "string",
}
"""MLflow's types of columns by ours; the larger integers are long, all else is double."""
_LONG: Final = ("INT64", "UINT32", "UINT64")


@dataclass(frozen=True, slots=True)
class Imported:
    """A package made of a model of MLflow, the run that trained it, and the columns that MLflow's signature names."""

    package: Path
    run: str | None
    columns: Sequence[str] | None


def import_mlflow(uri: str, *, name: str, version: str, repository: Path) -> Imported:
    """Pack the scikit-learn estimator of a model such as `models:/iris/3`, `runs:/<id>/model` or a folder.

    Its bytes are unpickled: import only what you trust. Raises PackageRefused: MLflow is not installed or cannot give
    it, it is no model of scikit-learn, it would not serve, or its signature names other columns than the estimator.
    """
    try:
        import mlflow
        from mlflow.models import Model
    except ImportError:
        raise PackageRefused("to import from MLflow needs its library: pip install 'model-manager[mlflow]'") from None
    try:
        folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
        model = Model.load(folder)
        if "sklearn" not in model.flavors:
            flavors = ", ".join(model.flavors)
            raise PackageRefused(f"{uri} is no model of MLflow's flavor sklearn; it has {flavors}")
        estimator = mlflow.sklearn.load_model(folder)
    except PackageRefused:
        raise
    except Exception as error:  # of MLflow, of the store that it asks, and of the pickle, which is code
        raise PackageRefused(f"{uri} cannot be had from MLflow: {without_secrets(one_line(error))}") from error
    columns = model.signature.inputs.input_names() if model.signature is not None and model.signature.inputs else []
    _check_columns(uri, estimator, columns)
    unnamed = not hasattr(estimator, "feature_names_in_") and len(columns) == getattr(estimator, "n_features_in_", 0)
    package = write_package(
        estimator, name=name, version=version, repository=repository, columns=columns if columns and unnamed else None
    )
    return Imported(package, model.run_id, columns or None)


def export_mlflow(package: Path, folder: Path) -> Path:
    """Write a package as a model that `mlflow.sklearn.load_model` and `mlflow.pyfunc.load_model` read, in a new folder.

    Its artifact is unpickled, after its digest was checked. Raises PackageRefused: there is no such package, it is no
    pickle, or the folder exists.
    """
    if os.path.lexists(folder):
        raise PackageRefused(f"{folder} exists; name a new folder")
    named = read_named([package])
    if len(named) != 1:
        raise PackageRefused(f"{package} holds several versions; name one, such as {package}/{named[-1].id.version}")
    (one,) = named
    if format_of(one.artifact.name) != "joblib":
        raise PackageRefused(f"{one.artifact} is no pickle; only these are exported to MLflow")
    try:
        with open(one.artifact, "rb") as file:
            estimator = load_estimator(file, library_mismatch="refuse").estimator
    except LoadFailed as error:
        raise PackageRefused(f"{package}: {error}") from error
    metadata = parse_metadata(one.metadata) if one.metadata is not None else Metadata()
    python = metadata.python or platform.python_version()
    requirements = f"scikit-learn=={SKLEARN_VERSION}\n"
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    files = {
        _PICKLE: pickle.dumps(estimator, protocol=4),
        "requirements.txt": requirements.encode(),
        "python_env.yaml": _yaml(environment),
        "MLmodel": _yaml(_mlmodel(estimator, metadata, python)),
    }
    try:
        write_folder(folder.absolute(), files)
    except OSError as error:
        raise PackageRefused(f"{folder} cannot be written: {not_written(error)}") from error
    return folder


def _check_columns(uri: str, estimator: Any, columns: Sequence[str]) -> None:
    """Hold MLflow's signature against what the estimator was fitted on."""
    fitted = list(getattr(estimator, "feature_names_in_", []))
    if not columns:
        return
    if fitted and fitted != list(columns):
        only = [f"only there: {', '.join(map(repr, set(columns) - {*fitted}))}"] if set(columns) - {*fitted} else []
        only += [f"missing there: {', '.join(map(repr, {*fitted} - set(columns)))}"] if {*fitted} - set(columns) else []
        differs = "; ".join(only) or "the same in another order"
        raise PackageRefused(f"{uri}: the signature names other columns than the estimator was fitted on ({differs})")
    width = getattr(estimator, "n_features_in_", None)
    if width is not None and width != len(columns) and not fitted:
        raise PackageRefused(f"{uri}: the signature names {len(columns)} columns, the estimator takes {width}")


def _mlmodel(estimator: Any, metadata: Metadata, python: str) -> dict[str, Any]:
    created = metadata.created or datetime.now(UTC)
    predict = next((one for one in ("predict", "transform") if hasattr(estimator, one)), "predict")
    function = {
        "loader_module": "mlflow.sklearn",
        "model_path": _PICKLE,
        "predict_fn": predict,
        "python_version": python,
        "env": {"virtualenv": "python_env.yaml"},
    }
    own = {
        "code": None,
        "pickled_model": _PICKLE,
        "serialization_format": "pickle",
        "sklearn_version": SKLEARN_VERSION,
    }
    whole: dict[str, Any] = {
        "flavors": {"python_function": function, "sklearn": own},
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": created.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    if metadata.inputs:
        inputs = [_column(one) for one in metadata.inputs if isinstance(one, ColumnInput)]
        inputs = inputs or [part for one in metadata.inputs if isinstance(one, TensorInput) for part in _tensor(one)]
        whole["signature"] = {"inputs": json.dumps(inputs, ensure_ascii=False), "outputs": None, "params": None}
    return whole


def _column(one: ColumnInput) -> dict[str, Any]:
    kind = "datetime" if one.moments is not None else _type(one.datatype, nullable=bool(one.nullable))
    return {"type": kind, "name": one.name, "required": True}


def _tensor(one: TensorInput) -> list[dict[str, Any]]:
    if one.columns is not None:
        kind = _type(one.datatype, nullable=bool(one.nullable))
        return [{"type": kind, "name": column, "required": True} for column in one.columns]
    dtype = {"FP32": "float32", "BYTES": "str", "BOOL": "bool"}.get(one.datatype, "float64")
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(one.shape)}}]


def _type(datatype: str, *, nullable: bool) -> str:
    """Name a type as MLflow does, whose integers and booleans take no missing value."""
    if nullable and datatype not in ("BYTES", "FP32"):
        return "double"
    return "long" if datatype in _LONG else _TYPES.get(datatype, "double")


def _yaml(value: Mapping[str, Any]) -> bytes:
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=10**9)).encode()
