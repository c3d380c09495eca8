"""The states of a version, and the pure function that says what to do next. No clock, no disk, no thread.

Place in the flow: the manager holds incarnations (one load of one version with one fingerprint), asks `next_action` for
each version to which something happened, carries the answer out, and asks again until the answer is None.

Rules of `next_action`, for one version. Versions are converged apart from each other: one that fails delays none, and
what happens to one of a thousand costs no more than among two.

1.  An incarnation is *wanted* when its version is wanted with the same fingerprint; every other one is *superseded*.
2.  DRAINING and GONE are on their way out: they are neither acted upon nor counted.
3.  A superseded incarnation that serves nobody (FAILED, or not yet READY) is unloaded first: forgotten or cancelled.
4.  A wanted version without an incarnation is loaded; of a model the default first, then newest first (`load_order`).
5.  A wanted version that FAILED is loaded again, for ever, each time its `retry_at` has come. One that failed after
    it was READY, because predicting does not return, has NEVER: it waits for other bytes, options, or another process.
6.  A wanted version in progress or READY is left alone.
7.  A superseded READY incarnation is unloaded when
      a. its model is not wanted at all, or
      b. its version is wanted with another fingerprint, and that one is READY, or
      c. its version is no longer wanted, and some wanted version of the model is READY (in any incarnation).
    Until then it keeps serving: the last good one goes only when something serves in its place.
    Of a and c, which are no matter of one version, `why_omitted_may_go` knows.
"""

import math
from collections.abc import Collection, Iterable, Sequence
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


def next_action(
    wanted: WantedVersion | None, incarnations: Sequence[Incarnation], may_go: str | None, now: float
) -> Load | Unload | None:
    """Say the one next step towards the wanted state of one version, or None when there is nothing to do now.

    `wanted` is None when the version was omitted; `may_go` says why it need not serve any more then, if so.
    `incarnations` are those of this version alone.
    """
    alive = [each for each in incarnations if each.state not in _LEAVING]
    same = [each for each in alive if wanted is not None and each.fingerprint == wanted.fingerprint]
    superseded = [each for each in alive if each not in same]
    for each in superseded:
        if each.state is not State.READY:
            return Unload(each.id, each.fingerprint, "it is no longer wanted like this")
    if wanted is not None and all(each.state is State.FAILED and now >= each.retry_at for each in same):
        return Load(wanted, _why_load(same, alive))
    if wanted is not None:
        may_go = "its replacement is ready" if any(each.state is State.READY for each in same) else None
    if superseded and may_go is not None:
        return Unload(superseded[0].id, superseded[0].fingerprint, may_go)
    return None


def why_omitted_may_go(wanted: WantedModel | None, ready: Iterable[str]) -> str | None:
    """Why a version of this model that is no longer wanted may go (rule 7 a, c), or None when it must go on serving.

    `ready` are the versions of the model that can be leased.
    """
    if wanted is None:
        return "its model is no longer wanted"
    successor = next((version for version in ready if version in wanted.versions), None)
    return f"it is no longer wanted, and {successor} is ready" if successor is not None else None


def load_order(wanted: WantedModel | None, versions: Iterable[str]) -> list[str]:
    """Sort versions of a model as they should be looked at: first what is no longer wanted and may still be loading."""
    if wanted is None:
        return list(versions)
    ranked = {name: (name not in wanted.versions, name == wanted.default, version_order(name)) for name in versions}
    return sorted(ranked, key=ranked.__getitem__, reverse=True)


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


def _why_load(same: Sequence[Incarnation], alive: Sequence[Incarnation]) -> str:
    failures = max((each.attempts for each in same), default=0)
    if failures:
        return f"it failed {failures} times so far" if failures > 1 else "it failed once so far"
    return "the models folder has it with other bytes or options" if alive else "the models folder has it"
