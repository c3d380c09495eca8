"""What every test of the server gets: no blocking calls on the event loop, and metrics of its own."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from model_manager.metrics.recording import Metrics

# a busy machine is no failure
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent


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


@pytest.fixture(scope="module")
def servers_not_covered() -> Iterator[None]:
    """Measure no coverage in the servers of a module: it takes a lock, which a thread that is given up, or that a fork
    has left behind, may keep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield
