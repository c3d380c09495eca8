"""The states of a version, and the pure function that says what to do next. No clock, no disk, no thread.

Place in the flow: the manager holds incarnations (one load of one version with one fingerprint), asks `next_action` for
each model, carries the answer out, and asks again until the answer is None.

Rules of `next_action`, for one model. Models are converged apart from each other, so that one which fails delays none.

1.  An incarnation is *wanted* when its version is wanted with the same fingerprint; every other one is *superseded*.
2.  DRAINING and GONE are on their way out: they are neither acted upon nor counted.
3.  A superseded incarnation that serves nobody (FAILED, or not yet READY) is unloaded first: forgotten or cancelled.
4.  A wanted version without an incarnation is loaded: the default first, then newest first.
5.  A wanted version that FAILED is loaded again, for ever, each time its `retry_at` has come. One that failed after
    it was READY, because predicting does not return, has NEVER: it waits for other bytes, options, or another process.
6.  A wanted version in progress or READY is left alone.
7.  A superseded READY incarnation is unloaded when
      a. its model is not wanted at all, or
      b. its version is wanted with another fingerprint, and that one is READY, or
      c. its version is no longer wanted, and some wanted version of the model is READY (in any incarnation).
    Until then it keeps serving: the last good one goes only when something serves in its place.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from model_manager.repository.wanted import ServableId, WantedModel, WantedVersion, version_order


class State(StrEnum):
    """Where one incarnation of a version is in its life."""

    # wanted ─▶ fetching ─▶ loading ─▶ proving ─▶ ready ─▶ draining ─▶ gone
    #    │          │          │          │         │                    ▲
    #    ├──────────┴──────────┴──────────┴─────────┴──▶ failed ─ forgotten
    #    └──────────┴──────────┴──────────┴───────────── cancelled ──────┘
    # An incarnation only moves forward: a retry is a new one, and so is a version that is wanted again.

    WANTED = "wanted"  # declared; nothing done yet
    FETCHING = "fetching"  # its bytes are being brought here and their digest compared
    LOADING = "loading"  # the bytes become an estimator
    PROVING = "proving"  # golden rows, warm-up, cost measurement
    READY = "ready"  # can be leased; published only after it can
    DRAINING = "draining"  # can no longer be leased; open leases finish
    GONE = "gone"  # closed and forgotten
    FAILED = "failed"  # could not be made ready: retried with backoff while wanted; or does not return: not retried


ALLOWED: dict[State, frozenset[State]] = {
    State.WANTED: frozenset({State.FETCHING, State.FAILED, State.GONE}),
    State.FETCHING: frozenset({State.LOADING, State.FAILED, State.GONE}),
    State.LOADING: frozenset({State.PROVING, State.FAILED, State.GONE}),
    State.PROVING: frozenset({State.READY, State.FAILED, State.GONE}),
    State.READY: frozenset({State.DRAINING, State.FAILED}),
    State.DRAINING: frozenset({State.GONE}),
    State.FAILED: frozenset({State.GONE}),
    State.GONE: frozenset(),
}
"""The only moves there are."""

IndexState = Literal["LOADING", "READY", "UNLOADING", "UNAVAILABLE"]

INDEX_STATE: dict[State, IndexState] = {
    State.WANTED: "LOADING",
    State.FETCHING: "LOADING",
    State.LOADING: "LOADING",
    State.PROVING: "LOADING",
    State.READY: "READY",
    State.DRAINING: "UNLOADING",
    State.GONE: "UNAVAILABLE",
    State.FAILED: "UNAVAILABLE",
}
"""Our states in the words of the repository index protocol."""

NEVER: Final = math.inf
"""The `retry_at` of what is not loaded again while the same is wanted."""

_LEAVING = frozenset({State.DRAINING, State.GONE})
_LONGEST_BACKOFF_S = 60.0


def check_move(before: State, after: State) -> None:
    """Refuse a move that is not in ALLOWED: a bug of ours, so an AssertionError."""
    if after not in ALLOWED[before]:  # not an assert statement: this must hold under python -O too
        raise AssertionError(f"a version cannot move from {before} to {after}")


@dataclass(frozen=True, slots=True)
class Incarnation:
    """What the manager knows of one load of one version at one moment.

    `attempts` counts failures so far; `retry_at`, on the same clock as `now`, means something only when FAILED.
    """

    id: ServableId
    fingerprint: str
    state: State
    attempts: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """Start loading this version beside whatever serves, in place of its failed incarnation if there is one.

    `why` is for people.
    """

    version: WantedVersion
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Unload:
    """Drain this incarnation if it is READY, cancel it if it is in progress, forget it if it FAILED.

    `why` is for people.
    """

    id: ServableId
    fingerprint: str
    why: str = field(default="", compare=False)


def backoff_s(attempts: int) -> float:
    """Seconds to wait after that many failures in a row: 1, 2, 4, … and never more than 60."""
    return min(_LONGEST_BACKOFF_S, float(2 ** min(max(attempts, 1) - 1, 6)))


def next_action(wanted: WantedModel | None, incarnations: Sequence[Incarnation], now: float) -> Load | Unload | None:
    """Say the one next step towards the wanted state of one model, or None when there is nothing to do now.

    `wanted` is None when the model was omitted. `incarnations` are those of this model alone.
    """
    alive = [each for each in incarnations if each.state not in _LEAVING]
    superseded = [each for each in alive if not _is_wanted(wanted, each)]
    for each in superseded:
        if each.state is not State.READY:
            return Unload(each.id, each.fingerprint, "it is no longer wanted like this")
    for version in _in_load_order(wanted):
        if _should_load(version, alive, now):
            return Load(version, _why_load(version, alive))
    for each in superseded:
        why = _why_replaced(wanted, each, alive)
        if why is not None:
            return Unload(each.id, each.fingerprint, why)
    return None


def choose_default(wanted: WantedModel | None, ready: Collection[str], current: str | None) -> str | None:
    """Choose the version that answers when a request names none, or None when no version is ready.

    The wanted default if it is ready; else the current one while it is, so that a default which fails to load changes
    nothing; else the newest that is ready.
    """
    if wanted is not None and wanted.default in ready:
        return wanted.default
    if current in ready:
        return current
    return max(ready, key=version_order, default=None)


def _is_wanted(wanted: WantedModel | None, incarnation: Incarnation) -> bool:
    version = wanted.versions.get(incarnation.id.version) if wanted is not None else None
    return version is not None and version.fingerprint == incarnation.fingerprint


def _in_load_order(wanted: WantedModel | None) -> Iterator[WantedVersion]:
    if wanted is None:
        return
    for name in sorted(wanted.versions, key=lambda name: (name == wanted.default, version_order(name)), reverse=True):
        yield wanted.versions[name]


def _should_load(version: WantedVersion, alive: Sequence[Incarnation], now: float) -> bool:
    return all(each.state is State.FAILED and now >= each.retry_at for each in _same(version, alive))


def _why_load(version: WantedVersion, alive: Sequence[Incarnation]) -> str:
    failures = max((each.attempts for each in _same(version, alive)), default=0)
    if failures:
        return f"it failed {failures} times so far" if failures > 1 else "it failed once so far"
    replaced = any(each.id == version.id for each in alive)
    return "the models folder has it with other bytes or options" if replaced else "the models folder has it"


def _same(version: WantedVersion, alive: Sequence[Incarnation]) -> list[Incarnation]:
    return [each for each in alive if each.id == version.id and each.fingerprint == version.fingerprint]


def _why_replaced(wanted: WantedModel | None, incarnation: Incarnation, alive: Sequence[Incarnation]) -> str | None:
    """Why a superseded READY incarnation may go (rule 7), or None when it must go on serving."""
    if wanted is None:
        return "its model is no longer wanted"
    ready = [each for each in alive if each.state is State.READY]
    if incarnation.id.version in wanted.versions:
        replaced = any(each.id == incarnation.id and _is_wanted(wanted, each) for each in ready)
        return "its replacement is ready" if replaced else None
    successors = [each.id.version for each in ready if each.id.version in wanted.versions]
    return f"it is no longer wanted, and {successors[0]} is ready" if successors else None
