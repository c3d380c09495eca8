"""A package, or a version that serves → one description, as metadata.json has it, so that two can be compared.

In the flow: `diff` → **here** → differences.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from model_manager.errors import LoadFailed, PackageRefused, QueryFailed, one_line
from model_manager.inventory.in_repository import Package, read_package
from model_manager.inventory.running_server import RunningServer, metrics_in
from model_manager.repository.packages import ARTIFACT_LIMIT, format_of
from model_manager.repository.references import read_reference
from model_manager.repository.regular_files import Files

_TOLD_BY_SERVERS: Final = {
    "inputs": ("name", "datatype", "columns"),
    "outputs": ("name", "datatype", "shape", "classes", "columns", "on_request"),
    "artifact": ("sha256",),
    "data": ("uri", "sha256", "git_commit", "dvc_md5"),
    "framework": ("version",),
    "evaluation": ("metrics",),
}


class Description(msgspec.Struct, frozen=True):
    """One version: how it was named, and what is said of it. `by_server`: by one, which tells less than a package."""

    called: str
    said: Mapping[str, Any]
    by_server: bool


def describe_package(path: Path) -> tuple[Description, Package]:
    """Describe the package at a path. Raises PackageRefused where there is none, or its metadata cannot be read."""
    reference = read_reference(path)
    folder = reference.package()
    package = read_package(folder.parent.parent, folder.parent.name, folder.name)
    unread = [problem for problem in package.problems if problem.startswith("metadata_invalid")]
    if unread:
        raise PackageRefused(f"{folder}: {unread[0]}")
    said = package.metadata.model_dump(mode="json", exclude_none=True)
    return Description(f"{folder.parent.name}/{folder.name}", said, by_server=False), package


def describe_served(address: str, key: str | None) -> Description:
    """Describe what serves at http://host:port/N[/V]. Raises QueryFailed."""
    parts = urlsplit(address)
    names = [unquote(name) for name in parts.path.split("/") if name]
    if not 1 <= len(names) <= 2:
        raise QueryFailed(f"{address}: name a model of the server, and a version: http://localhost:8080/iris/2")
    server = RunningServer(f"{parts.scheme}://{parts.netloc}", key)
    model, version = names[0], names[1] if len(names) == 2 else None
    described = server.described(model, version)
    if described is None:
        raise QueryFailed(f"{address} is not ready there, or this is no API port; `model-manager list --url` tells")
    return Description("/".join(names), _as_metadata(described), by_server=True)


def _as_metadata(described: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a server tells of a version in the words of metadata.json."""
    properties: Mapping[str, str] = described["properties"]
    metrics = metrics_in(properties.get("evaluation"))
    said = {
        **{part: [{**one, **one.get("parameters", {})} for one in described[part]] for part in ("inputs", "outputs")},
        "artifact": {"sha256": properties.get("sha256")},
        "framework": {"version": properties.get("trained_with_sklearn")},
        "data": {name: properties.get(f"data_{name}") for name in _TOLD_BY_SERVERS["data"]},
        "evaluation": {"metrics": metrics} if metrics else {},
    }
    return said


def made_comparable(a: Description, b: Description) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Leave of both what both can tell: a server tells less than a package."""
    if not (a.by_server or b.by_server):
        return a.said, b.said
    return _as_served(a.said), _as_served(b.said)


def _as_served(said: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for part, names in _TOLD_BY_SERVERS.items():
        value = said.get(part)
        if isinstance(value, list):
            kept[part] = [_only(one, names) for one in value]
        elif value:
            kept[part] = _only(value, names)
    return kept


def _only(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) not in (None, [], False)}


def with_estimator(description: Description, package: Package, *, skops_trusted: tuple[str, ...] = ()) -> Description:
    """Load the artifact, which runs its code, and add what kind of estimator it is, with its parameters.

    Raises LoadFailed.
    """
    from model_manager.inference.artifact_formats import load_artifact
    from model_manager.inference.parameters import parameters_of

    if package.artifact is None:
        raise LoadFailed("missing", f"{package.folder}: there is no artifact in it")
    try:
        with Files(str(package.folder)).open(str(package.artifact), ARTIFACT_LIMIT) as file:
            loaded = load_artifact(
                file,
                format_of(package.artifact.name),
                library_mismatch="warn",
                skops_trusted=skops_trusted,
                most_bytes=ARTIFACT_LIMIT.bytes,
            )
    except OSError as error:
        raise LoadFailed("unreadable", f"{package.artifact} cannot be read: {error.strerror}") from error
    try:
        estimator = parameters_of(loaded.estimator)
    except Exception as error:  # its own code
        raise LoadFailed("model_raised", f"{package.artifact}: get_params raised {one_line(error)}") from error
    return Description(description.called, {**description.said, "estimator": estimator}, description.by_server)
