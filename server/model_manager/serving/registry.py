"""The read side: which versions can be leased right now. An immutable snapshot that the manager replaces whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from model_manager.errors import ModelNotFound, VersionNotFound, VersionNotReady
from model_manager.repository.lifecycle import State
from model_manager.repository.wanted import version_order
from model_manager.serving.servable import Servable


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of one known version, and why, for people."""

    version: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model as requests see it. `default` answers when no version is named; None while nothing is ready."""

    default: Servable | None
    ready: Mapping[str, Servable]
    statuses: Mapping[str, VersionStatus]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything requests can see. `reached` is set once the first wanted state was reached, and stays.

    `problem` says why the models folder cannot be used at the moment, if it cannot.
    """

    models: Mapping[str, ModelView] = field(default_factory=dict)
    reached: bool = False
    problem: str = ""


class Registry:
    """Hands out leases from the current snapshot, with no await and no lock."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.stopping = False

    def waiting_for(self) -> str:
        """Why this process should get no traffic; empty once the first wanted state was reached, until it stops."""
        if self.stopping:
            return "the server is stopping"
        if self.snapshot.reached:
            return ""
        waiting = [
            f"{name} {_describe(status)}"
            for name, view in self.snapshot.models.items()
            for status in view.statuses.values()
            if status.version not in view.ready
        ]
        return self.snapshot.problem or "; ".join(waiting) or "no wanted state was read yet"

    def lease(self, model: str, version: str | None) -> Servable:
        """Lease the named version, or the model's default; the caller gives it back with `release()`.

        Raises ModelNotFound, VersionNotFound (both list what exists) or VersionNotReady (with the state).
        """
        view = self.snapshot.models.get(model) or self.model(model)
        servable = view.default if version is None else view.ready.get(version)
        if servable is None:
            raise self._refusal(model, view, version)
        servable.leases += 1
        return servable

    def knows(self, model: str, version: str | None) -> bool:
        """Whether there is such a model, and such a version of it if one is named, ready or not."""
        view = self.snapshot.models.get(model)
        return view is not None and (version is None or version in view.statuses)

    def model(self, name: str) -> ModelView:
        """The view of one model. Raises ModelNotFound, listing what exists."""
        view = self.snapshot.models.get(name)
        if view is None:
            raise ModelNotFound(f"no model '{name}'; {_list('models', self.snapshot.models)}")
        return view

    def servable(self, model: str, version: str | None) -> Servable:
        """Like `lease`, for a look that keeps nothing alive (metadata, readiness)."""
        servable = self.lease(model, version)
        servable.release()
        return servable

    def _refusal(self, model: str, view: ModelView, version: str | None) -> VersionNotFound | VersionNotReady:
        if version is None:
            states = "; ".join(_describe(view.statuses[name]) for name in sorted(view.statuses, key=version_order))
            return VersionNotReady(f"model '{model}' has no version ready: {states}", retry_after_s=2)
        status = view.statuses.get(version)
        if status is None:
            return VersionNotFound(f"model '{model}' has no version '{version}'; {_list('versions', view.statuses)}")
        return VersionNotReady(f"model '{model}' {_describe(status)}", retry_after_s=2)


def _describe(status: VersionStatus) -> str:
    return f"version '{status.version}' is {status.state}" + (f": {status.reason}" if status.reason else "")


def _list(what: str, names: Iterable[str]) -> str:
    listed = sorted(names, key=version_order)
    return f"{what}: {', '.join(listed)}" if listed else f"there are no {what} yet"
