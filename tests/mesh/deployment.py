"""A release of the chart without a cluster: servers for its pods, Envoy for its mesh, files for its control planes.

Pods get the environment and the ConfigMap that the chart renders for their track. As Kubernetes does it, a pod is an
endpoint once its readiness probe says so, and is none any more before it gets SIGTERM.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from models.samples import build_sample
from tests.mesh.proxy import MeshProxy
from tests.mesh.traffic import Question
from tests.mesh.virtual_service import read_routing, read_subsets, route_configuration
from tools.processes import without_server_settings
from tools.servers import Server, serve_flags

VALUES: Final = Path(__file__).with_name("values.yaml")
VERSIONS: Final = {"stable": "1", "canary": "2"}
TRACKS: Final = {version: track for track, version in VERSIONS.items()}

Documents = Sequence[Mapping[str, Any]]
Render = Callable[[Mapping[str, str]], Documents]


class Release:
    """The chart's rendering in force, its pods by track, and the proxy in front of them."""

    def __init__(self, render: Render, proxy: MeshProxy, artifacts: Path, folder: Path, stack: ExitStack) -> None:
        self.proxy = proxy
        self.sets: dict[str, str] = {}
        self.documents = render(self.sets)
        self.pods: dict[str, list[Server]] = {track: [] for track in read_subsets(self.documents)}
        self.artifacts = artifacts
        self._render = render
        self._folder = folder
        self._stack = stack
        self._started = 0

    @property
    def question(self) -> Question:
        """A row that the two versions of iris tell apart, sent to the first host of the VirtualService."""
        return Question(
            host=read_routing(self.documents).hosts[0],
            path="/v1/models/iris:predict",
            body=b'{"instances":[[6.0,2.8,4.8,1.6]]}',
            answers={"1": b'{"predictions":["versicolor"]}', "2": b'{"predictions":["virginica"]}'},
        )

    def upgrade(self, sets: Mapping[str, str]) -> None:
        """Put a rendering with more values set in force, as `helm upgrade --reset-then-reuse-values` does."""
        self.sets |= sets
        self.documents = self._render(self.sets)
        self.proxy.route(route_configuration(read_routing(self.documents)))

    def mount(self, pod: str) -> Path:
        """The folder of models that a pod of this name has."""
        return self._folder / pod

    def start(self, track: str) -> Server:
        """Start a pod; it gets traffic once it is ready and published. Raises ProcessFailed."""
        self._started += 1
        name = f"{track}-{self._started}"
        mount = self.mount(name)
        shutil.copytree(self.artifacts, mount)
        (mount / "models.yaml").write_text(_of_track(self.documents, "ConfigMap", track)["data"]["models.yaml"])
        command = [sys.executable, "-m", "model_manager", "serve", *serve_flags(mount)]
        variables = {**without_server_settings(), **environment(self.documents, track)}
        pod = self._stack.enter_context(Server(name, command, environment=variables))
        self.pods[track].append(pod)
        return pod

    def publish(self, track: str) -> None:
        """Tell the proxy which pods of a track are ready."""
        self.proxy.endpoints(track, [pod.api for pod in self.pods[track] if pod.is_ready()])

    def stop(self, track: str, pod: Server) -> None:
        """Take a pod out of the endpoints, then let it drain. Raises ProcessFailed when it does not end well."""
        self.pods[track].remove(pod)
        self.publish(track)
        pod.stop()

    def scale(self, track: str, replicas: int) -> None:
        """Start pods until there are so many, and publish each when it is ready."""
        while len(self.pods[track]) < replicas:
            pod = self.start(track)
            pod.wait_for(pod.is_ready, "to be ready")
            self.publish(track)

    def restart(self, track: str) -> None:
        """A rolling restart: one pod more, never one fewer, as the chart's `rollout` has it."""
        for pod in list(self.pods[track]):
            self.scale(track, len(self.pods[track]) + 1)
            self.stop(track, pod)


@contextmanager
def release(render: Render, folder: Path, *, replicas: int = 1) -> Iterator[Release]:
    """Deploy the chart, with so many pods of each track, while the body runs.

    Raises ProcessFailed.
    """
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    for version in VERSIONS.values():
        build_sample("iris", version, folder / "repository", created=None)
        for file, ending in (("model.joblib", "joblib"), ("metadata.json", "metadata.json")):
            shutil.copy(folder / "repository" / "iris" / version / file, artifacts / f"iris-{version}.{ending}")
    documents = render({})
    configuration = route_configuration(read_routing(documents))
    with MeshProxy(read_subsets(documents).keys(), configuration, folder) as proxy, ExitStack() as stack:
        deployed = Release(render, proxy, artifacts, folder, stack)
        for track in deployed.pods:
            deployed.scale(track, replicas)
        yield deployed


def weights(canary: int) -> dict[str, str]:
    """The values of one step: so many percent for the canary, the rest for stable."""
    return {"tracks.canary.weight": str(canary), "tracks.stable.weight": str(100 - canary)}


def environment(documents: Documents, track: str) -> dict[str, str]:
    """The variables of a track's server."""
    (container,) = _of_track(documents, "Deployment", track)["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def _of_track(documents: Documents, kind: str, track: str) -> Mapping[str, Any]:
    labels = read_subsets(documents)[track].items()
    (found,) = [each for each in documents if each["kind"] == kind and labels <= each["metadata"]["labels"].items()]
    return found
