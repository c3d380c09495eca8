"""V1 (TensorFlow Serving's REST API, as KServe speaks it): models, states, metadata. Prediction is in predict.py."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.call import pinned_version
from model_manager.codecs.v1_metadata import signature_defs
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
        name, version = request.path_params["model"], self._version(request)
        view = self._registry.model(name)
        shown = sorted(view.statuses, key=version_order) if version is None else [version]
        if version is not None and version not in view.statuses:
            raise VersionNotFound(f"model '{name}' has no version '{version}'; versions: {', '.join(view.statuses)}")
        ready = _ready(view, version)
        body: dict[str, object] = {
            "name": name,
            "ready": ready,
            "model_version_status": [_tfs_status(view.statuses[version]) for version in shown],
        }
        if view.labels:
            body["labels"] = dict(view.labels)
        if not ready:
            body["error"] = "; ".join(f"version '{v}' is {view.statuses[v].state}" for v in shown)
        return JSONResponse(body, 200 if ready else 503, {} if ready else {"retry-after": "2"})

    async def metadata(self, request: Request) -> Response:
        """Describe what the default or the named version takes and gives, in TensorFlow Serving's words."""
        name = request.path_params["model"]
        servable = self._registry.servable(name, self._version(request))
        spec = {"name": name, "signature_name": "", "version": servable.id.version}
        body = {
            "model_spec": spec,
            "metadata": {"signature_def": {"signature_def": signature_defs(servable.signature)}},
        }
        return JSONResponse(body, headers={"x-model-name": name, "x-model-version": servable.id.version})

    def _version(self, request: Request) -> str | None:
        """The version that a request names: by its path, which may say a label, or by a header; None: the default."""
        label = request.path_params.get("label")
        if label is not None:
            return self._registry.version_of(request.path_params["model"], label)
        named = request.path_params.get("version") or pinned_version(request.scope["headers"])
        return None if named is None else self._registry.unlabelled(request.path_params["model"], named)


def _ready(view: ModelView, version: str | None) -> bool:
    return view.default is not None if version is None else version in view.ready


def _tfs_status(status: VersionStatus) -> dict[str, object]:
    failed = status.state is State.FAILED
    return {
        "version": status.version,
        "state": _TFS_STATE[status.state],
        "status": {"error_code": "UNKNOWN" if failed else "OK", "error_message": status.reason},
    }
