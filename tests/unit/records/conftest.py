"""Where records go in tests: a file, or a real HTTP receiver."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.event_receiver import EventReceiver, event_receiver


@pytest.fixture
def receiver() -> Iterator[EventReceiver]:
    with event_receiver() as receiver:
        yield receiver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"
