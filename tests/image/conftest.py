"""The image, built once for the whole run by the command that a person would give."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.image.containers import hardened, measured
from tools.parts import absent


@pytest.fixture(scope="session")
def image() -> str:
    """The name of the image."""
    if shutil.which("podman") is None:
        absent("the image needs podman")
    name = "model-manager:e2e"
    started = time.monotonic()
    built = subprocess.run(
        ["make", "--no-print-directory", "image", f"IMAGE={name}", "CONTAINERS=podman"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert built.returncode == 0, built.stdout
    measured.append(f"built in {time.monotonic() - started:.0f} s")
    return name


@pytest.fixture
def models(samples: Path, tmp_path: Path) -> Path:
    """The sample models where the container's user may read them."""
    folder = Path(shutil.copytree(samples, tmp_path / "models"))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """The options under which every container runs."""
    empty = tmp_path / "empty"
    empty.touch()
    return hardened(empty)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if measured:
        terminalreporter.section("image")
        terminalreporter.write("\n".join([*measured, ""]))
