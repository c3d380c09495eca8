"""What requests see of a model, and how far it is from what is wanted: pure functions, no clock, no loop, no disk.

In the flow: the manager asks for the next view of each model that changed → **views** → registry, which shows it.
One model at a time, because a lease is of one model, and of that only the versions to which something happened, so that
a change costs the same among ten as among thousands.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from model_manager.repository.lifecycle import State, choose_default
from model_manager.repository.wanted import WantedModel, WantedVersion
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.servable import Servable
from model_manager.serving.traffic import Split, split_of

AS_A_WHOLE: Final = ""
"""In the place of a version's name: what a model needs whatever its versions, which is one that answers."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of one known version, and why, for people. `quarantined`: it failed because it ends the server."""

    version: str
    state: State
    reason: str = ""
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model as requests see it. `default` answers when no version is named; None while nothing is ready.

    `split`, if there is one, chooses in its place; `weights` are those that are wanted, in percent. `shadow` gets
    copies of what others answered. `labels` are other names of versions.
    """

    default: Servable | None
    ready: Mapping[str, Servable]
    statuses: Mapping[str, VersionStatus]
    split: Split | None = field(default=None, compare=False)
    shadow: Servable | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one version is.

    `ended`: it is ready or has failed, or is not wanted. `settled`: the same, and of a model as a whole that a version
    answers; or that none can, because all are quarantined, which must not keep the other models from traffic.
    `in_force`: exactly what is wanted of it is ready, and nothing else is left.
    """

    settled: bool
    in_force: bool
    ended: bool


def next_view(
    wanted: WantedModel | None,
    versions: Mapping[str, Sequence[ManagedVersion]],
    previous: ModelView | None,
    changed: Iterable[str],
) -> ModelView | None:
    """Say what requests see of a model from now on; None when it is neither wanted nor there.

    `versions` are its incarnations by version, the oldest first; `changed` names those to which something happened
    since the previous view. A version can be leased from the moment it has a servable until it drains. While another
    incarnation of a version that answers is on its way, the version is READY, and the reason says what its replacement
    is doing.
    """
    if wanted is None and not versions:
        return None
    ready = dict(previous.ready) if previous is not None else {}
    statuses = dict(previous.statuses) if previous is not None else {}
    for name in changed:
        status, servable = _seen(name, wanted, versions.get(name, ()))
        for shown, value in ((statuses, status), (ready, servable)):
            if value is not None:
                shown[name] = value  # type: ignore[assignment]
            else:
                shown.pop(name, None)
    current = previous.default.id.version if previous is not None and previous.default is not None else None
    chosen = choose_default(wanted, ready, current)
    default = ready[chosen] if chosen is not None else None
    if wanted is None:
        return ModelView(default, ready, statuses)
    split, shadow = split_of(wanted, ready, default), ready.get(wanted.shadow)
    return ModelView(default, ready, statuses, split, shadow, wanted.traffic, wanted.labels)


def _seen(
    name: str, wanted: WantedModel | None, incarnations: Sequence[ManagedVersion]
) -> tuple[VersionStatus | None, Servable | None]:
    """What is seen of one version: its status, and what can be leased of it."""
    servable: Servable | None = None
    status = VersionStatus(name, State.WANTED) if wanted is not None and name in wanted.versions else None
    for incarnation in incarnations:
        status = VersionStatus(name, incarnation.state, incarnation.reason, incarnation.quarantined)
        if incarnation.servable is not None and incarnation.state in (State.PROVING, State.READY):
            servable = incarnation.servable
        elif servable is not None:  # an older incarnation answers while this one is not there (yet)
            status = VersionStatus(name, State.READY, f"its replacement is {status.state}: {status.reason}")
    return status, servable


def standings(
    wanted: WantedModel | None,
    versions: Mapping[str, Sequence[ManagedVersion]],
    view: ModelView | None,
    changed: Iterable[str],
) -> dict[str, Standing]:
    """Say how far the changed versions of a model are from what is wanted of them, and the model as a whole."""
    answers = wanted is None or (view is not None and view.default is not None)
    found = {AS_A_WHOLE: Standing(ended=True, settled=answers or _barred(wanted, view), in_force=True)}
    for name in changed:
        version = wanted.versions.get(name) if wanted is not None else None
        found[name] = _standing(version, versions.get(name, ()), view)
    return found


def _barred(wanted: WantedModel | None, view: ModelView | None) -> bool:
    """Whether every version of a model is quarantined."""
    if wanted is None or view is None:
        return False
    return all(view.statuses[name].quarantined for name in wanted.versions if name in view.statuses)


def _standing(wanted: WantedVersion | None, incarnations: Sequence[ManagedVersion], view: ModelView | None) -> Standing:
    if wanted is None:
        return Standing(ended=True, settled=True, in_force=not incarnations)
    assert view is not None, "a wanted model has a view"
    ended = view.statuses[wanted.id.version].state in (State.READY, State.FAILED)
    there = [(one.state, one.wanted.fingerprint) for one in incarnations]
    return Standing(ended=ended, settled=ended, in_force=there == [(State.READY, wanted.fingerprint)])
