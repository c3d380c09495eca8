"""The cluster that KUBECONFIG names, and namespaces in it."""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.staging import Cluster, Namespace, measured
from tools import parts

NewNamespace = Callable[[str], Namespace]
MEASURED: Final = "measured"
_LONGEST: Final = ("test_canary_page", "test_installs", "test_traffic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need a cluster, and its minutes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(1200))
    items.sort(key=lambda item: item.path.stem not in _LONGEST)  # what takes longest is not begun last


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster; skips without one, and without Istio in it fails."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names no cluster: docs/cluster.md says how to have one")
    programs = tmp_path_factory.mktemp("programs")
    (programs / "kubectl").symlink_to(parts.kubectl())
    for major in (3, 4):
        (programs / f"helm{major}").mkdir()
        (programs / f"helm{major}" / "helm").symlink_to(parts.helm(major))
    kubeconfig = programs / "kubeconfig"
    flat: list[str | Path] = [programs / "kubectl", "config", "view", "--raw", "--flatten", "--minify"]
    kubeconfig.write_text(subprocess.run(flat, check=True, capture_output=True, text=True).stdout, encoding="utf-8")
    found = Cluster(programs, kubeconfig)
    if not found.list("mutatingwebhookconfigurations", "app=sidecar-injector"):
        pytest.fail("the cluster that KUBECONFIG names has no Istio: docs/cluster.md says how to install it")
    return found


@pytest.fixture(scope="module")
def new_namespace(cluster: Cluster) -> Iterator[NewNamespace]:
    """Makes namespaces that end with the tests of a file."""
    with ExitStack() as stack:
        yield lambda subject: stack.enter_context(_namespace(cluster, subject))


@pytest.fixture(scope="module")
def namespace(new_namespace: NewNamespace, request: pytest.FixtureRequest) -> Namespace:
    """One for all tests of a file."""
    return new_namespace(request.module.__name__.rpartition("test_")[2])


@contextmanager
def _namespace(cluster: Cluster, subject: str) -> Iterator[Namespace]:
    name = f"{subject}-{secrets.token_hex(3)}"
    labels = {"istio-injection": "enabled"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        kubeconfig = cluster.programs / name
        kubeconfig.write_text(cluster.kubeconfig.read_text(encoding="utf-8"), encoding="utf-8")
        made = Namespace(cluster.programs, kubeconfig, name)
        made.kubectl("config", "set-context", "--current", f"--namespace={name}")
        yield made
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(autouse=True)
def measured_told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test measured goes into its report, since processes that run tests side by side print none."""
    yield
    request.node.user_properties += [(MEASURED, line) for line in measured]
    measured.clear()


@pytest.fixture(params=[4, 3], ids=["helm4", "helm3"])
def major(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def page_namespace(new_namespace: NewNamespace, samples: Path) -> Iterator[Namespace]:
    """A namespace with what both pages start from: the ConfigMaps `models` and `models-next`."""
    namespace = new_namespace("pages")
    namespace.apply_models("models", samples, default="1")
    namespace.apply_models("models-next", samples, default="2")
    yield namespace
    namespace.helm("uninstall", "models")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    ended = [each for each in terminalreporter.getreports("") if each.when == "teardown"]
    told = [line for each in ended for name, line in each.user_properties if name == MEASURED]
    if told:
        terminalreporter.section("cluster")
        terminalreporter.write("\n".join([*told, ""]))
