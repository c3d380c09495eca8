"""What every test gets, in tests/ and in loadtests/tests/: a clean environment, and the sample models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.processes import ROOT


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in [name for name in os.environ if name.startswith(("MODEL_MANAGER_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of sample models, trained once for the whole run."""
    repository = tmp_path_factory.mktemp("samples")
    command = [sys.executable, "-m", "models.build", "--out", str(repository)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return repository
