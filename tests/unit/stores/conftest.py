"""A server of artifacts for each test, and no long pauses between attempts."""

from collections.abc import Iterator

import pytest
from model_manager.repository import downloading

from tests.artifact_server import ArtifactServer, artifact_server
from tests.unit.stores.staging import CONTENT


@pytest.fixture
def store() -> Iterator[ArtifactServer]:
    """A server with one artifact."""
    with artifact_server() as server:
        server.files["/iris/1/model.joblib"] = CONTENT
        yield server


@pytest.fixture
def uri(store: ArtifactServer) -> str:
    """Where that is."""
    return f"{store.url}/iris/1/model.joblib"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(downloading, "_FIRST_PAUSE_S", 0.001)
