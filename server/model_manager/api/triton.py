"""Two things that Triton's clients ask of a model beside V2: its statistics, and its configuration.

Statistics are a view of the metrics: of this process on the API port, of the whole pod on the admin port.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.call import pinned_version
from model_manager.codecs.v2_metadata import describe_inputs, describe_outputs
from model_manager.errors import ModelNotFound, VersionNotFound
from model_manager.metrics import Family
from model_manager.serving.index import IndexRow, labels_of
from model_manager.serving.servable import Servable
from model_manager.serving.system import System

_SECONDS: Final = {
    "queue": "model_manager_queue_duration",
    "compute_input": "model_manager_decode_duration",
    "compute_infer": "model_manager_predict_duration",
    "compute_output": "model_manager_encode_duration",
}
_NONE: Final = {"count": 0, "ns": 0}


class Statistics:
    """Answers from the metrics that `metrics` gives, of the versions that `rows` lists."""

    def __init__(
        self, metrics: Callable[[], Awaitable[Sequence[Family]]], rows: Callable[[], Awaitable[list[IndexRow]]]
    ) -> None:
        self._metrics = metrics
        self._rows = rows

    async def all(self, request: Request) -> Response:
        """Every version of every model that the caller may use."""
        return JSONResponse(await self.told(None, None, lambda model: may_see(request, model)))

    async def model(self, request: Request) -> Response:
        """Every version of a model, or the one that is named, by a label too. Raises ModelNotFound, VersionNotFound."""
        version = request.path_params.get("version") or pinned_version(request.scope["headers"])
        return JSONResponse(await self.told(request.path_params["model"], version))

    async def told(
        self, name: str | None, version: str | None, may_use: Callable[[str], bool] = lambda model: True
    ) -> dict[str, Any]:
        """The same, whatever the protocol: of one model, or of every one that `may_use` allows.

        Raises ModelNotFound, VersionNotFound.
        """
        if name is None:
            return await self._sums([row for row in await self._rows() if may_use(row.name)])
        rows = [row for row in await self._rows() if row.name == name]
        if not rows:
            raise ModelNotFound(f"no model {name!r} is known here; GET /v2/models lists those that are")
        if version is not None:
            known, rows = rows, [row for row in rows if row.version == version or version in labels_of(row)]
            if not rows:
                versions = ", ".join(row.version for row in known)
                raise VersionNotFound(f"model {name!r} has no version {version!r} here; versions: {versions}")
        return await self._sums(rows)

    async def _sums(self, rows: Sequence[IndexRow]) -> dict[str, Any]:
        sums = _Sums(await self._metrics())
        return {"model_stats": [sums.of(row.name, row.version) for row in rows]}


class _Sums:
    """What the metrics say, by version."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._counts: dict[str, dict[tuple[str, ...], int]] = {}
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        for family in families:
            name = family.description.name.removesuffix("_seconds")
            for series in family.series:
                self._values.setdefault(name, {})[series.labels] = series.value
                if series.counts is not None:
                    self._counts.setdefault(name, {})[series.labels] = sum(series.counts)

    def of(self, model: str, version: str) -> dict[str, Any]:
        """One version, in Triton's words. The time of requests that failed is in that of those that did not."""
        by_code = {
            labels[2]: int(value)
            for labels, value in self._values.get("model_manager_requests", {}).items()
            if labels[:2] == (model, version)
        }
        answered = by_code.pop("200", 0)
        owner = (model, version)
        took = self._values.get("model_manager_request_duration", {}).get(owner, 0)
        return {
            "name": model,
            "version": version,
            "inference_count": int(self._values.get("model_manager_rows", {}).get(owner, 0)),
            "execution_count": self._counts.get("model_manager_batch_rows", {}).get(owner, 0),
            "inference_stats": {
                "success": {"count": answered, "ns": round(took * 1e9)},
                "fail": {"count": sum(by_code.values()), "ns": 0},
                **{word: self._duration(name, owner) for word, name in _SECONDS.items()},
                "cache_hit": _NONE,
                "cache_miss": _NONE,
            },
            "batch_stats": [],
        }

    def _duration(self, name: str, owner: tuple[str, str]) -> dict[str, int]:
        seconds = self._values.get(name, {}).get(owner, 0)
        return {"count": self._counts.get(name, {}).get(owner, 0), "ns": round(seconds * 1e9)}


class Configuration:
    """How a model is served, in the words of Triton's model configuration."""

    def __init__(self, system: System) -> None:
        self._registry = system.registry

    async def model(self, request: Request) -> Response:
        """Describe a model's default or named version. Raises ModelNotFound, VersionNotFound."""
        name = request.path_params["model"]
        version = request.path_params.get("version") or pinned_version(request.scope["headers"])
        servable = self._registry.servable(name, version)
        return JSONResponse(self.of(servable), headers={"x-model-name": name, "x-model-version": servable.id.version})

    def of(self, servable: Servable) -> dict[str, Any]:
        """The same, whatever the protocol."""
        name = servable.id.model
        return {
            "name": name,
            "platform": "sklearn_joblib",
            "backend": "sklearn",
            "version_policy": {"specific": {"versions": sorted(self._registry.model(name).ready)}},
            "max_batch_size": servable.batcher.most_rows,
            "input": [_configured(tensor) for tensor in describe_inputs(servable.signature)],
            "output": [_configured(tensor) for tensor in describe_outputs(servable.signature)],
            "dynamic_batching": {},
            "default_model_filename": "model.joblib",
        }


def _configured(tensor: Mapping[str, Any]) -> dict[str, Any]:
    """A tensor as Triton's configuration has it: `dims` go without the rows."""
    datatype = "STRING" if tensor["datatype"] == "BYTES" else tensor["datatype"]
    return {"name": tensor["name"], "data_type": f"TYPE_{datatype}", "dims": tensor["shape"][1:] or [1]}
