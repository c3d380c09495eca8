"""V1 (TensorFlow Serving's REST API, as KServe speaks it): model list and status. Prediction is in predict.py."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.call import pinned_version
from model_manager.errors import VersionNotFound
from model_manager.repository.lifecycle import State
from model_manager.repository.wanted import version_order
from model_manager.serving.system import System
from model_manager.serving.views import ModelView, VersionStatus

_TFS_STATE = {
    State.WANTED: "START",
    State.FETCHING: "LOADING",
    State.LOADING: "LOADING",
    State.PROVING: "LOADING",
    State.READY: "AVAILABLE",
    State.DRAINING: "UNLOADING",
    State.GONE: "END",
    State.FAILED: "END",
}


class V1:
    """The GET routes of V1."""

    def __init__(self, system: System) -> None:
        self._registry = system.registry

    async def models(self, request: Request) -> Response:
        """List the names of all known models that the caller may use."""
        return JSONResponse({"models": sorted(name for name in self._registry.models if may_see(request, name))})

    async def model(self, request: Request) -> Response:
        """Say whether a model (or one version) can answer, and the state of its versions; 503 when it cannot."""
        name = request.path_params["model"]
        version = request.path_params.get("version") or pinned_version(request.scope["headers"])
        view = self._registry.model(name)
        shown = sorted(view.statuses, key=version_order) if version is None else [version]
        if version is not None and version not in view.statuses:
            raise VersionNotFound(f"model '{name}' has no version '{version}'; versions: {', '.join(view.statuses)}")
        ready = _ready(view, version)
        body = {
            "name": name,
            "ready": ready,
            "model_version_status": [_tfs_status(view.statuses[version]) for version in shown],
        }
        if not ready:
            body["error"] = "; ".join(f"version '{v}' is {view.statuses[v].state}" for v in shown)
        return JSONResponse(body, 200 if ready else 503, {} if ready else {"retry-after": "2"})


def _ready(view: ModelView, version: str | None) -> bool:
    return view.default is not None if version is None else version in view.ready


def _tfs_status(status: VersionStatus) -> dict[str, object]:
    failed = status.state is State.FAILED
    return {
        "version": status.version,
        "state": _TFS_STATE[status.state],
        "status": {"error_code": "UNKNOWN" if failed else "OK", "error_message": status.reason},
    }
