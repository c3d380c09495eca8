"""Where the one release of these tests is made, and where it goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.release import staging
from tests.release.staging import Checkout
from tools import parts


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH, with Helm by its own name."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "helm").symlink_to(parts.helm(4))
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Checkout:
    """A checkout of this project, which may be committed to."""
    return Checkout(tmp_path_factory.mktemp("checkout"), programs)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty OCI registry."""
    with staging.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address
