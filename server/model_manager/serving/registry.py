"""The read side: which versions can be leased right now. What requests see of a model is replaced whole by the manager.

Views are immutable, and one assignment puts the next one in place of the last. All of this happens on the thread of the
event loop, so whoever does not await in between sees all models as they are at one moment.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Final

from model_manager.call import Headers
from model_manager.errors import ModelNotFound, VersionNotFound, VersionNotReady
from model_manager.repository.wanted import Ignored, version_order
from model_manager.serving.servable import Servable
from model_manager.serving.traffic import tell_change
from model_manager.serving.views import ModelView, VersionStatus

_TOLD: Final = 50  # names in one message


class Registry:
    """Hands out leases from what is shown now, with no await and no lock.

    `names_told`: whether a refusal may name what exists to whoever asked for something else. `read` is set once a
    wanted state was read: before, nobody knows which models there are. `ended` while every wanted version is ready or
    has failed. `reached` is set once the first wanted state was reached, and stays. `problem` says why the models
    folder cannot be used at the moment, if it cannot. `ignored`: what lies there and is served under no name.
    `shadows`: of each model that has one, the version that gets copies.
    """

    def __init__(self) -> None:
        self._models: dict[str, ModelView] = {}
        self.models: Mapping[str, ModelView] = self._models
        self.shadows: dict[str, Servable] = {}
        self.names_told = True
        self.read = False
        self.ended = False
        self.reached = False
        self.problem = ""
        self.ignored: tuple[Ignored, ...] = ()
        self.stopping = False

    def show(self, model: str, view: ModelView | None) -> None:
        """Let requests see this of a model from now on; None: that there is no such model."""
        before = self._models.get(model)
        tell_change(model, before.split if before is not None else None, view.split if view is not None else None)
        if view is not None:
            self._models[model] = view
        else:
            self._models.pop(model, None)
        if view is not None and view.shadow is not None:
            self.shadows[model] = view.shadow
        else:
            self.shadows.pop(model, None)

    def waiting_for(self) -> str:
        """Why this process should get no traffic; empty once the first wanted state was reached, until it stops."""
        if self.stopping:
            return "the server is stopping"
        if self.reached:
            return ""
        waiting = (
            f"{name} {_describe(status)}"
            for name, view in self.models.items()
            for status in view.statuses.values()
            if status.version not in view.ready
        )
        told = list(islice(waiting, _TOLD))
        more = ["…"] if next(waiting, None) is not None else []
        return self.problem or "; ".join([*told, *more]) or "no wanted state was read yet"

    def lease(self, model: str, version: str | None, headers: Headers = ()) -> Servable:
        """Lease the version named, by a label too, or what answers for the model; given back with `release()`.

        `headers` are those of the request: where traffic is split, they may say who asks.

        Raises ModelNotFound, VersionNotFound (both list what exists) or VersionNotReady (with the state).
        """
        view = self._models.get(model) or self.model(model)
        if version is not None:
            servable = view.ready.get(version) or view.ready.get(view.labels.get(version, ""))
        elif view.split is not None:
            servable = view.split.choose(headers)
        else:
            servable = view.default
        if servable is None:
            raise self._refusal(model, view, version)
        servable.leases += 1
        return servable

    def knows(self, model: str, version: str | None) -> bool:
        """Whether there is such a model, and such a version of it if one is named, ready or not."""
        view = self.models.get(model)
        return view is not None and (version is None or version in view.statuses or version in view.labels)

    def check_read(self) -> None:
        """Raise VersionNotReady while nobody knows yet which models there are."""
        if not self.read:
            raise VersionNotReady(self.problem or "the models folder is being read", retry_after_s=2)

    def version_of(self, model: str, label: str) -> str:
        """The version that a label stands for. Raises ModelNotFound, or VersionNotFound, which lists the labels."""
        labels = self.model(model).labels
        if label not in labels:
            known = _list("labels", labels) if labels else "models.yaml declares none"
            raise VersionNotFound(f"model '{model}' has no label '{label}'; {known}")
        return labels[label]

    def unlabelled(self, model: str, version: str) -> str:
        """The version that a name stands for: a label's, or its own."""
        return self.model(model).labels.get(version, version)

    def model(self, name: str) -> ModelView:
        """The view of one model. Raises ModelNotFound, listing what exists, or VersionNotReady before that is known."""
        view = self.models.get(name)
        if view is None:
            self.check_read()
            known = _list("models", self.models) if self.names_told else "GET /v2/models lists those of this key"
            raise ModelNotFound(f"no model '{name}'; {known}")
        return view

    def servable(self, model: str, version: str | None) -> Servable:
        """The named version, or the model's default, for a look that keeps nothing alive (metadata, readiness).

        Raises as `lease` does.
        """
        view = self.model(model)
        servable = view.default if version is None else view.ready.get(view.labels.get(version, version))
        if servable is None:
            raise self._refusal(model, view, version)
        return servable

    def _refusal(self, model: str, view: ModelView, version: str | None) -> VersionNotFound | VersionNotReady:
        if version is None:
            return VersionNotReady(f"model '{model}' has no version ready: {_states(view.statuses)}", retry_after_s=2)
        status = view.statuses.get(view.labels.get(version, version))
        if status is None:
            labels = f"; {_list('labels', view.labels)}" if view.labels else ""
            known = _list("versions", view.statuses) + labels
            return VersionNotFound(f"model '{model}' has no version '{version}'; {known}")
        return VersionNotReady(f"model '{model}' {_describe(status)}", retry_after_s=2)


def _describe(status: VersionStatus) -> str:
    return f"version '{status.version}' is {status.state}" + (f": {status.reason}" if status.reason else "")


def _states(statuses: Mapping[str, VersionStatus]) -> str:
    if len(statuses) > _TOLD:
        return f"there are {len(statuses)} versions, which the repository index lists"
    return "; ".join(_describe(statuses[name]) for name in sorted(statuses, key=version_order))


def _list(what: str, names: Collection[str]) -> str:
    """Name all of them, unless they are many: whoever asks for what there is not must not hold the loop up by it."""
    if len(names) > _TOLD:
        return f"there are {len(names)} {what}, which the repository index lists"
    listed = sorted(names, key=version_order)
    return f"{what}: {', '.join(listed)}" if listed else f"there are no {what} yet"
