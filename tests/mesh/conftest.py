"""The chart rendered by a real Helm, deployed as real servers behind a real Envoy."""

from collections.abc import Iterator, Mapping

import pytest

from tests.chart.chart import Helm
from tests.mesh.deployment import VALUES, Documents, Release, release
from tools import parts


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Two pods of each track; a test leaves weights as it likes, and pods ready."""
    parts.module("envoy")
    helm = Helm(parts.helm(4))

    def render(sets: Mapping[str, str]) -> Documents:
        return helm.template(file=VALUES, sets=sets).documents

    with release(render, tmp_path_factory.mktemp("release"), replicas=2) as running:
        yield running


@pytest.fixture
def helm4() -> Helm:
    """The newest Helm."""
    return Helm(parts.helm(4))
