"""What requests see of a model, and how far it is from what is wanted: pure functions, no clock, no loop, no disk.

In the flow: the manager asks for the next view of each model that changed → **views** → registry, which shows it.
One model at a time, because a lease is of one model, and so that a change costs the same among ten as among thousands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_manager.repository.lifecycle import State, choose_default
from model_manager.repository.wanted import WantedModel
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.servable import Servable


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state of one known version, and why, for people. `quarantined`: it failed because it ends the server."""

    version: str
    state: State
    reason: str = ""
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model as requests see it. `default` answers when no version is named; None while nothing is ready."""

    default: Servable | None
    ready: Mapping[str, Servable]
    statuses: Mapping[str, VersionStatus]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one model is.

    `settled`: every wanted version is ready or has failed (`ended`), and one answers; or none can, because all are
    quarantined, which must not keep the other models from traffic. `in_force`: exactly what is wanted is ready, and
    nothing else is left.
    """

    settled: bool
    in_force: bool
    ended: bool


def next_view(
    wanted: WantedModel | None, versions: Sequence[ManagedVersion], previous: ModelView | None
) -> ModelView | None:
    """Say what requests see of a model from now on; None when it is neither wanted nor there.

    `versions` are its incarnations, the oldest first. A version can be leased from the moment it has a servable until
    it drains. While another incarnation of a version that answers is on its way, the version is READY, and the reason
    says what its replacement is doing.
    """
    if wanted is None and not versions:
        return None
    ready: dict[str, Servable] = {}
    statuses = {name: VersionStatus(name, State.WANTED) for name in (wanted.versions if wanted is not None else ())}
    for incarnation in versions:
        version = incarnation.wanted.id.version
        status = VersionStatus(version, incarnation.state, incarnation.reason, incarnation.quarantined)
        if incarnation.servable is not None and incarnation.state in (State.PROVING, State.READY):
            ready[version] = incarnation.servable
        elif version in ready:  # an older incarnation answers while this one is not there (yet)
            status = VersionStatus(version, State.READY, f"its replacement is {status.state}: {status.reason}")
        statuses[version] = status
    current = previous.default.id.version if previous is not None and previous.default is not None else None
    chosen = choose_default(wanted, ready, current)
    return ModelView(ready[chosen] if chosen is not None else None, ready, statuses)


def standing(wanted: WantedModel | None, versions: Sequence[ManagedVersion], view: ModelView | None) -> Standing:
    """Say how far a model with this view is from what is wanted of it."""
    if wanted is None:
        return Standing(ended=True, settled=True, in_force=not versions)
    assert view is not None, "a wanted model has a view"
    ended = all(view.statuses[name].state in (State.READY, State.FAILED) for name in wanted.versions)
    there = [(version.wanted.id, version.wanted.fingerprint) for version in versions if version.state is State.READY]
    in_force = len(there) == len(versions) == len(wanted.versions) and set(there) == {
        (version.id, version.fingerprint) for version in wanted.versions.values()
    }
    barred = all(view.statuses[name].quarantined for name in wanted.versions)
    return Standing(ended=ended, settled=ended and (view.default is not None or barred), in_force=in_force)
