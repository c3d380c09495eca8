"""What every test gets: a clean environment, no blocking calls on the event loop, small real models."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from model_manager.metrics.recording import Metrics

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in [name for name in os.environ if name.startswith(("MODEL_MANAGER_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail any test in which our code blocks the event loop with input or output."""
    with blockbuster_ctx("model_manager") as blocker:
        for lock in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            blocker.functions[lock].deactivate()  # metrics, logging and coverage hold theirs for an instant
        yield blocker


@pytest.fixture
def metrics() -> Metrics:
    """All metrics, the test's own."""
    return Metrics()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of sample models, trained once for the whole run."""
    repository = tmp_path_factory.mktemp("samples")
    subprocess.run(
        [sys.executable, "models/build", "--out", str(repository)], cwd=ROOT, check=True, capture_output=True
    )
    return repository
