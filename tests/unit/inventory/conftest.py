"""Packages that are made once: to fit, rehearse and write them takes most of the time of these tests."""

import shutil
from pathlib import Path

import pytest

from tests.unit.inventory.staging import pack_iris


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("made")
    pack_iris(repository, "1", accuracy=0.9)
    pack_iris(repository, "2", accuracy=0.95, strength=0.01)
    return repository


@pytest.fixture
def repository(made: Path, tmp_path: Path) -> Path:
    """Two versions of iris, the test's own."""
    return Path(shutil.copytree(made, tmp_path / "models"))
