"""REPO, REPO/N or REPO/N/V as people write it → a repository, a model of it, a version of it. Asked by commands.

A path says it all: what lies there tells which of the three it is, and the names of its folders tell the rest.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_manager.errors import PackageRefused
from model_manager.repository.packages import METADATA, artifact_name
from model_manager.repository.wanted import NAME_PATTERN, version_order

_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """What a path means: a repository, and of it one model or one version where these are named."""

    repository: Path
    model: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return "/".join([str(self.repository), *filter(None, (self.model, self.version))])

    def models(self) -> list[str]:
        """Name the models that are meant, in order."""
        return [self.model] if self.model is not None else sorted(_folders(self.repository, _is_model))

    def versions(self, model: str) -> list[str]:
        """Name the versions of a model that are meant, the oldest first."""
        if self.version is not None:
            return [self.version]
        return sorted(_folders(self.repository / model, _is_version), key=version_order)

    def package(self) -> Path:
        """Give the folder of the one version that is meant.

        Raises PackageRefused where there is none, or one must be chosen.
        """
        if self.model is not None and self.version is not None:
            return self.repository / self.model / self.version
        names = [f"{model}/{version}" for model in self.models() for version in self.versions(model)]
        if not names:
            raise PackageRefused(f"{self}: there is no version in it")
        how_many = "several versions; name one" if len(names) > 1 else "one version; name it"
        raise PackageRefused(f"{self} holds {how_many}: {self.repository / names[-1]}")


def read_reference(path: Path) -> Reference:
    """Say what a path refers to. Raises PackageRefused where there is nothing, with what to write instead."""
    path = Path(os.path.normpath(path.absolute()))
    if not path.is_dir():
        if path.is_file():
            raise PackageRefused(f"{path} is a file; name the folder of a version, such as repository/iris/2")
        raise PackageRefused(f"{path}: there is no such folder{_instead(path)}")
    if (path / METADATA).is_file():
        return Reference(path.parent.parent, path.parent.name, path.name)
    if _is_repository(path):  # before the others: a file or a model that was put in the wrong place makes it no version
        return Reference(path)
    if _is_model(path):
        return Reference(path.parent, path.name)
    if _is_version(path):
        return Reference(path.parent.parent, path.parent.name, path.name)
    return Reference(path)


def _is_version(folder: Path) -> bool:
    return artifact_name(str(folder)) is not None or (folder / METADATA).is_file()


def _is_repository(folder: Path) -> bool:
    """Whether it holds a folder that holds versions, and is none itself."""
    return any(True for _ in _folders(folder, lambda one: _is_model(one) and not _is_version(one)))


def _is_model(folder: Path) -> bool:
    return any(True for _ in _folders(folder, _is_version))


def _folders(folder: Path, accepted: Callable[[Path], bool]) -> Iterator[str]:
    """Name the folders in a folder that are accepted; those of a version that is being written have other names."""
    try:
        found = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return iter(())
    except OSError as error:
        raise PackageRefused(f"{folder} cannot be read: {error.strerror}") from error
    return (one.name for one in found if re.fullmatch(NAME_PATTERN, one.name) and accepted(one))


def _instead(path: Path) -> str:
    beside = sorted(_folders(path.parent, Path.is_dir)) if path.parent.is_dir() else []
    more = f" and {len(beside) - _MOST_NAMED} more" if len(beside) > _MOST_NAMED else ""
    return f"; beside it there is {', '.join(beside[:_MOST_NAMED])}{more}" if beside else ""
