"""A cluster with Istio, as KUBECONFIG names one: namespaces of the tests' own, releases in them, and pods that ask.

Nothing is known of the cluster but its API: it may be kind's, or any other. Three things of a test need more, and skip
where it is not to be had: killing a server or silencing its pod, for which it has to run on this machine, and stopping
istiod.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model_manager.version import __version__

from tests.cluster import asker
from tools import patience
from tools.patience import LIMIT_S, stretched
from tools.processes import ROOT

CHART: Final = ROOT / "charts" / "model-manager"
IMAGE: Final = "registry.example.com/model-manager"
ROW: Final = '{"instances": [[6.0, 2.8, 4.8, 1.6]]}'
IRIS: Final = "/v1/models/iris:predict"
JSON: Final = {"content-type": "application/json"}
OWN_KINDS: Final = (
    "deployments,replicasets,pods,services,configmaps,secrets,serviceaccounts,endpointslices,"
    "horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,ingresses"
)
_COMMAND_S: Final = 180.0
_POD_S: Final = 120.0
_PAUSE_S: Final = 0.25

Document = dict[str, Any]

measured: Final[list[str]] = []
"""What the test that runs saw: printed after the last of all."""


def wait_until(condition: Callable[[], Any], what: str, *, limit_s: float = LIMIT_S) -> Any:
    """As that of tools.patience, for conditions that start a program: asked without a pause they take a processor."""
    return patience.wait_until(condition, what, limit_s=limit_s, pause_s=_PAUSE_S)


class CommandFailed(Exception):
    """A command of kubectl or Helm ended with an error; the text is what it said."""


@dataclass(frozen=True)
class Answers:
    """Answers to one question: how many by status and version, and a body of each kind."""

    counts: Mapping[tuple[int, str], int]
    bodies: Mapping[tuple[int, str], str]
    at: float = 0.0

    def of(self, *, status: int | None = None, version: str | None = None) -> int:
        """How many there are of a status, of a version, or of both."""
        return sum(
            count
            for (its_status, its_version), count in self.counts.items()
            if status in (None, its_status) and version in (None, its_version)
        )

    @property
    def all(self) -> int:
        """How many there are."""
        return self.of()

    @property
    def failed(self) -> int:
        """How many are no 200."""
        return self.all - self.of(status=200)

    @property
    def status(self) -> int:
        """The status that all of them have; raises ValueError when they differ."""
        (status,) = {status for status, _ in self.counts}
        return status

    def since(self, earlier: "Answers") -> "Answers":
        """Those that came after."""
        counts = {key: count - earlier.counts.get(key, 0) for key, count in self.counts.items()}
        return Answers({key: count for key, count in counts.items() if count}, self.bodies, self.at)


def question(
    host: str,
    path: str = IRIS,
    *,
    requests: int | None = 1,
    connections: int = 1,
    pause_s: float = 0.0,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: str = ROW,
) -> Document:
    """One question for an asker: so many requests, or with None without an end."""
    asked: Document = {"url": f"http://{host}{path}", "method": method, "connections": connections, "pause_s": pause_s}
    asked |= {"headers": {**JSON, **(headers or {})}, "body": body if method == "POST" else ""}
    return asked if requests is None else {**asked, "requests": requests}


@dataclass(frozen=True)
class Cluster:
    """What a kubeconfig leads to. `programs` is a folder with kubectl, and folders `helm3` and `helm4`."""

    programs: Path
    kubeconfig: Path

    def run(self, *command: str | Path, stdin: str | None = None, helm: int = 4) -> str:
        """Run a command as a person would, with kubectl and this Helm on the PATH; raises CommandFailed."""
        home = self.programs / "home"
        path = os.pathsep.join([str(self.programs), str(self.programs / f"helm{helm}"), os.environ["PATH"]])
        done = subprocess.run(
            command,
            env={"PATH": path, "HOME": str(home), "KUBECONFIG": str(self.kubeconfig)},
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=stretched(_COMMAND_S),
        )
        if done.returncode:
            raise CommandFailed(f"{' '.join(map(str, command))}\n{done.stderr}{done.stdout}")
        return done.stdout

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl in the namespace of the kubeconfig; raises CommandFailed."""
        return self.run("kubectl", *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> Document:
        """An object; raises CommandFailed when there is none."""
        found: Document = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def list(self, kinds: str, selector: str = "") -> Sequence[Document]:
        """Objects of some kinds, by labels."""
        found = json.loads(self.kubectl("get", kinds, "-o", "json", "--selector", selector))
        items: list[Document] = found["items"]
        return items

    def apply(self, *documents: Document) -> None:
        """Have these objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def apply_models(self, name: str, samples: Path, *, default: str) -> None:
        """The ConfigMap that the README makes: both versions of iris, of which one answers."""
        packages = samples / "iris"
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "model_manager",
            "configmap",
            name,
            packages,
            "--default",
            f"iris={default}",
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        self.kubectl("apply", "--server-side", "-f", "-", stdin=made.stdout)


@dataclass(frozen=True)
class Namespace(Cluster):
    """A namespace of a test's own, in which the proxy is injected; its kubeconfig names it."""

    name: str = ""

    def install(self, sets: Mapping[str, object], *, helm: int = 4, values: Path | None = None) -> None:
        """Install the chart as `models`, with values of a file and values set; wait until it is ready."""
        file: list[str | Path] = [] if values is None else ["--values", values]
        self.helm("install", "models", CHART, *file, *_flags(sets), "--wait", "--timeout", "170s", major=helm)

    def upgrade(self, sets: Mapping[str, object], *, helm: int = 4, values: Path | None = None) -> None:
        """Upgrade it with more values set, as docs/canary.md does, or more of a file."""
        file: list[str | Path] = [] if values is None else ["--values", values]
        self.helm("upgrade", "models", CHART, "--reset-then-reuse-values", *file, *_flags(sets), major=helm)

    def helm(self, *arguments: str | Path, major: int = 4) -> str:
        """Run a Helm; raises CommandFailed."""
        return self.run("helm", *arguments, helm=major)

    def pods(self, track: str = "stable") -> Sequence[Document]:
        """The pods of a track that are not on their way out."""
        found = self.list("pods", f"app.kubernetes.io/name=model-manager,version={track}")
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def wait_for_rollout(self, track: str = "stable") -> None:
        """Wait until all pods of a track are ready and of its newest kind."""
        self.kubectl("rollout", "status", f"deployment/models-model-manager-{track}", "--timeout=170s")

    def wait_for_pods(self, count: int, track: str = "stable") -> None:
        """Wait until a track has so many pods, all ready."""
        wait_until(lambda: [is_ready(each) for each in self.pods(track)] == [True] * count, f"{count} pods of {track}")

    def ask(self, *questions: Document, account: str = "default", sidecar: bool = True) -> list[Answers]:
        """Ask from a pod of its own, and wait for all the answers."""
        with self._asker(questions, account, sidecar) as pod:

            def all_answered() -> list[Answers] | None:
                ended = [_answers(line) for line in self._said(pod) if line["done"]]
                return ended if len(ended) == len(questions) else None

            answered: list[Answers] = wait_until(all_answered, f"{len(questions)} answers to {pod}", limit_s=_POD_S)
            return answered

    @contextmanager
    def traffic(self, asked: Document) -> Iterator["Traffic"]:
        """Keep asking from a pod in the mesh while the body runs."""
        with self._asker([asked], "default", True) as pod:
            running = Traffic(self, pod)
            running.take(20)
            yield running

    @contextmanager
    def _asker(self, questions: Sequence[Document], account: str, sidecar: bool) -> Iterator[str]:
        name = f"asker-{secrets.token_hex(3)}"
        self.apply(_asker_pod(name, questions, account, sidecar))
        try:
            yield name
        finally:
            self.kubectl("delete", "pod", name, "--wait=false")

    def _said(self, pod: str, *, last: int = -1) -> list[Document]:
        """What an asker printed, or the last lines of it."""
        try:
            text = self.kubectl("logs", pod, "--container", "asker", f"--tail={last}")
        except CommandFailed:  # it has not begun
            return []
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]


class Traffic:
    """Requests that never stop, and what became of them."""

    def __init__(self, namespace: Namespace, pod: str) -> None:
        self._namespace = namespace
        self._pod = pod

    @property
    def address(self) -> str:
        """Whence they come."""
        address: str = self._namespace.get("pod", self._pod)["status"]["podIP"]
        return address

    def so_far(self) -> Answers:
        """Everything until now."""
        said = self._namespace._said(self._pod, last=2)  # the last may not be whole
        return _answers(said[-1]) if said else Answers({}, {})

    def take(self, count: int) -> Answers:
        """Wait for so many more answers, and return those alone."""
        before = self.so_far()

        def enough() -> Answers | None:
            more = self.so_far().since(before)
            return more if more.all >= count else None

        more: Answers = wait_until(enough, f"{count} answers", limit_s=_POD_S)
        return more


def is_ready(pod: Document) -> bool:
    """Whether a pod is ready."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))


def restarts(pods: Sequence[Document]) -> dict[str, int]:
    """How often the server of each pod was started again, by the pod's name."""
    return {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"]["containerStatuses"]
        if status["name"] == "server"
    }


def _answers(line: Document) -> Answers:
    def key(name: str) -> tuple[int, str]:
        status, _, version = name.partition(" ")
        return int(status), version

    counts = {key(name): count for name, count in line["counts"].items()}
    return Answers(counts, {key(name): body for name, body in line["bodies"].items()}, line["at"])


def _flags(sets: Mapping[str, object]) -> list[str]:
    image = {"image.repository": IMAGE, "image.tag": __version__}
    return [f"--set={name}={value}" for name, value in {**image, **sets}.items()]


def _asker_pod(name: str, questions: Sequence[Document], account: str, sidecar: bool) -> Document:
    program = Path(asker.__file__).read_text(encoding="utf-8")
    labels = {"app": "asker", "sidecar.istio.io/inject": str(sidecar).lower()}
    annotations = {"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}
    container = {
        "name": "asker",
        "image": f"{IMAGE}:{__version__}",
        "command": ["python", "-c", program, json.dumps(questions)],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001},
            "containers": [container],
        },
    }
