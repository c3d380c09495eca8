"""The peers: what each is installed from, how it is started, and how it is asked for the same rows as everybody."""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model_manager.version import __version__

from loadtests.benchmark.timing import SERVER
from loadtests.benchmark.workloads import encode_json
from tools.servers import is_settled, serve_flags

APPS: Final = Path(__file__).parent / "apps"
NOT_MEASURED: Final = {
    "Triton": "it comes as the image of a container, not from the package index",
    "KServe's server": "the one for scikit-learn comes as the image of a container, not from the package index",
    "Ray Serve": "nothing is written here that starts it",
}
"""Those that a reader may miss here, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer runs: the programs of its environment, a folder of its own, a port, artifacts by name of model."""

    programs: Path
    folder: Path
    port: int
    artifacts: Mapping[str, Path]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its process."""
        models = json.dumps({name: str(path) for name, path in self.artifacts.items()})
        own = {"PEER_MODELS": models, "BENTOML_HOME": str(self.folder), "BENTOML_DO_NOT_TRACK": "True"}
        path = f"{self.programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, **own, "PATH": path, "PYTHONPATH": ""}


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to measure. The first of `packages` is itself; without any it runs in this environment.

    `command` starts it, `path` and `body` ask a model for rows, `predictions` finds them in its answer; `is_settled`
    says of the address of its API whether it is as fast as it will be.
    """

    name: str
    packages: tuple[str, ...]
    command: Callable[[Place], Sequence[str]]
    path: Callable[[str], str]
    body: Callable[[str, Any], bytes]
    predictions: Callable[[Any], Any]
    one_model_a_process: bool = False
    is_settled: Callable[[str], bool] = lambda address: True


def _model_manager(place: Place) -> list[str]:
    models = place.folder / "models"
    for name, artifact in place.artifacts.items():
        version = models / name / "1"
        version.mkdir(parents=True)
        os.link(artifact, version / "model.joblib")
    flags = serve_flags(models)
    flags[flags.index("--port") + 1] = str(place.port)
    return [sys.executable, "-m", "model_manager", "serve", *flags]


def _fastapi(place: Place) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", str(place.port), "--no-access-log", "--log-level", "warning"]
    return [str(place.programs / "uvicorn"), "--app-dir", str(APPS), "fastapi_app:app", *options]


def _mlserver(place: Place) -> list[str]:
    more = free_ports(2)
    settings = {"host": "127.0.0.1", "http_port": place.port, "grpc_port": more[0], "metrics_port": more[1]}
    _write(place.folder / "settings.json", {**settings, "parallel_workers": 0, "debug": False})
    for name, artifact in place.artifacts.items():
        implementation, uri = "mlserver_sklearn.SKLearnModel", {"uri": str(artifact)}
        model = {"name": name, "implementation": implementation, "parameters": uri}
        _write(place.folder / name / "model-settings.json", model)
    return [str(place.programs / "mlserver"), "start", str(place.folder)]


def _bentoml(place: Place) -> list[str]:
    options = ["--working-dir", str(APPS), "--host", "127.0.0.1", "--port", str(place.port)]
    return [str(place.programs / "bentoml"), "serve", "--quiet", "bentoml_service:Models", *options]


def _litserve(place: Place) -> list[str]:
    return [str(place.programs / "python"), str(APPS / "litserve_app.py"), str(place.port)]


def _mlflow(place: Place) -> list[str]:
    (artifact,) = place.artifacts.values()
    script = str(APPS / "mlflow_serve.py")
    return [str(place.programs / "python"), script, str(artifact), str(place.folder / "model"), str(place.port)]


def _as_v1(model: str, rows: Any) -> bytes:
    return encode_json("v1", rows)


def _as_v2(model: str, rows: Any) -> bytes:
    return encode_json("v2", rows)


def _as_inputs(model: str, rows: Any) -> bytes:
    return json.dumps({"inputs": rows.tolist()}).encode()


def _as_arguments(model: str, rows: Any) -> bytes:
    return json.dumps({"model": model, "instances": rows.tolist()}).encode()


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(SERVER, (), _model_manager, "/v1/models/{}:predict".format, _as_v1, lambda said: said["predictions"],
             is_settled=is_settled),
        Peer("FastAPI", ("fastapi", "uvicorn", "uvloop", "httptools"), _fastapi, "/predict/{}".format, _as_v1,
             lambda said: said["predictions"]),
        Peer("MLServer", ("mlserver", "mlserver-sklearn"), _mlserver, "/v2/models/{}/infer".format, _as_v2,
             lambda said: said["outputs"][0]["data"]),
        Peer("BentoML", ("bentoml",), _bentoml, lambda model: "/predict", _as_arguments, lambda said: said),
        Peer("MLflow", ("mlflow",), _mlflow, lambda model: "/invocations", _as_inputs,
             lambda said: said["predictions"], one_model_a_process=True),
        Peer("LitServe", ("litserve",), _litserve, lambda model: "/predict", _as_v1,
             lambda said: said["predictions"], one_model_a_process=True),
    )
}  # fmt: skip
OWN_VERSION: Final = __version__


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has at the moment; all different."""
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in bound]
    finally:
        for one in bound:
            one.close()


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
