"""Real Helm of both majors, on the chart of this repository; no cluster is asked."""

import pytest

from tests.chart.chart import Helm
from tools import parts


@pytest.fixture(params=[4, 3], ids=["helm4", "helm3"])
def helm(request: pytest.FixtureRequest) -> Helm:
    """Each Helm in turn, for what they might do differently."""
    return Helm(parts.helm(request.param))


@pytest.fixture
def helm4() -> Helm:
    """The newest Helm, for what does not depend on it."""
    return Helm(parts.helm(4))


@pytest.fixture
def helm3() -> Helm:
    """The oldest Helm."""
    return Helm(parts.helm(3))
