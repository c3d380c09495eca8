"""The wheel holds the package and nothing else, and lives beside a user's own server.py."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(180)
OUTSIDE = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
"""An environment in which nothing of this checkout can be imported."""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=OUTSIDE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as README's reader would who has a checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
    run(*pip, ".", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, cwd=ROOT)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a server.py of its own, and an environment in which the wheel is installed.

    What the wheel depends on comes from the packages of this interpreter, which are no checkout.
    """
    folder = tmp_path_factory.mktemp("project")
    (folder / "server.py").write_text("whose = 'mine'\n")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    packages = folder / "env" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "env" / "bin" / "python",
        "install", "--no-deps", "--no-index", wheel, cwd=folder)  # fmt: skip
    (packages / "dependencies.pth").write_text("\n".join({sysconfig.get_path(kind) for kind in ("purelib", "platlib")}))
    return folder


def python(project: Path, code: str) -> str:
    return run(project / "env" / "bin" / "python", "-c", code, cwd=project)


def test_it_holds_the_package_and_what_describes_it_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    described = {top for top in tops if top.endswith(".dist-info")}
    assert len(described) == 1
    assert tops - described == {"model_manager"}
    assert "model_manager/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


def test_the_server_that_a_user_imports_is_the_users_own(project: Path) -> None:
    assert python(project, "import server; print(server.whose, server.__file__)") == f"mine {project / 'server.py'}"


def test_the_library_is_the_installed_one_and_can_be_imported(project: Path) -> None:
    code = "import model_manager; from model_manager import write_package; print(model_manager.__file__)"
    assert Path(python(project, code)).is_relative_to(project / "env")


def test_both_commands_run_beside_it(project: Path, wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    scripts = project / "env" / "bin"
    assert version in run(scripts / "python", "-m", "model_manager", "--version", cwd=project)
    assert version in run(scripts / "model-manager", "--version", cwd=project)
