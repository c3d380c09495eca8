"""What every unit test may ask for."""

from collections.abc import Iterator

import pytest

from tests.unit.commands.forked import Commands, forked_commands


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs commands of model-manager in processes of their own."""
    with forked_commands() as running:
        yield running
