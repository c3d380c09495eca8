"""What happens in the running system, noted for the ledger: states, defaults, what is wanted, requests by the minute.

In the flow: manager → **chronicle** → ledger, and records where there are any.

Nothing here is called by a request: what is counted of them is read from the metrics. It also knows the last good
state, whether or not there is a ledger to keep it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from model_manager.ledger import (
    Default,
    Ended,
    Good,
    GoodState,
    LastGood,
    Ledger,
    Lineage,
    Minute,
    Moved,
    Wanted,
    WantedVersions,
    now,
)
from model_manager.metrics import Metrics
from model_manager.records import RecordStream
from model_manager.repository.lifecycle import State
from model_manager.repository.location import without_credentials
from model_manager.repository.wanted import Declaration, ServableId, WantedModel, WantedState
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.views import ModelView

_EVERY_S: Final = 60.0
_VERSIONS_AT_ONCE: Final = 10  # less than a millisecond
_ON_THE_WAY: Final = (State.WANTED, State.FETCHING, State.LOADING, State.PROVING)
_SAID: Final = {"created", "data", "evaluation", "owner", "description", "card", "gates"}

WANTED_EVENT: Final = "model-manager.wanted-changed.v1"
STATE_EVENT: Final = "model-manager.version-state.v1"


class Chronicle:
    """Notes what it is told of, on the event loop. `signed_by`: who has signed what is loaded, if that is asked for.

    `records`: where changes go as well, beside the ledger. `every_s`: how often requests are counted.
    """

    def __init__(
        self,
        metrics: Metrics,
        ledger: Ledger | None = None,
        records: RecordStream | None = None,
        *,
        signed_by: str | None = None,
        every_s: float = _EVERY_S,
    ) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._records = records if ledger is not None else None
        self._signed_by = signed_by
        self._every_s = every_s
        self._good = LastGood() if ledger is None else ledger.last_good()
        self._declared: Declaration | None = None
        self._wants_any = False
        self._in_force = False
        self._since = now()
        self._counted: dict[tuple[str, ...], float] = {}
        self._failures: dict[ServableId, str] = {}  # why a version failed last, as it was noted
        self._minute: dict[str, dict[str, dict[str, int]]] = {}

    @property
    def last_good(self) -> list[GoodState]:
        """The last wanted states that were in force, and in which no version has failed since; the newest first."""
        return self._good.states

    # what the manager tells

    def wanted_another(self, wanted: WantedState, changed: list[str] | None) -> None:
        """Note what is wanted from now on, if that is news; `changed` names the models that are wanted otherwise."""
        before, declared = self._declared, wanted.declared
        if before is not None and not changed and declared.generation == before.generation:
            return
        self._declared, self._wants_any, self._in_force = declared, bool(wanted.models), False
        if self._ledger is None:
            return
        said = declared.changed_by
        if before is not None and said == before.changed_by:
            said = None  # it was written for an earlier change, and somebody else has made this one
        entry = Wanted(
            at=now(),
            generation=declared.generation,
            form="folder" if declared.manifest is None else "manifest",
            models={name: _versions(wanted.models.get(name)) for name in changed or ()},
            by=None if said is None else said.by,
            changed_at=None if said is None else said.at,
            commit=None if said is None else said.commit,
            first=before is None,
        )
        self._ledger.note(entry)
        if self._records is not None:
            self._records.tell(WANTED_EVENT, declared.generation, entry.at, entry)

    def moved(self, version: ManagedVersion, was: State | None) -> None:
        """Note a change of a version's state. What the index does not tell of the reason is not told here."""
        if version.state is State.FAILED and self._declared is not None:
            self._in_force = False
            if self._good.is_not_good(self._declared.generation):
                self._keep_good()
        if self._ledger is None or self._is_one_more_try(version):
            return
        wanted, servable = version.wanted, version.servable
        (model, name), digest = wanted.id, wanted.digest or wanted.sha256
        if version.state is State.READY and servable is not None:
            digest = servable.provenance.sha256 or digest
            said = servable.provenance.metadata.model_dump(mode="json", include=_SAID, exclude_none=True)
            if isinstance(said.get("data"), dict) and "uri" in said["data"]:
                said["data"]["uri"] = without_credentials(said["data"]["uri"])
            self._ledger.note(
                Lineage(at=now(), model=model, version=name, sha256=digest or "", said=said, signed_by=self._signed_by)
            )
        entry = Moved(
            at=now(),
            model=model,
            version=name,
            load=version.load,
            sha256=digest,
            was=None if was is None else was.value,
            state=version.state.value,
            reason=version.reason,
        )
        self._ledger.note(entry)
        if self._records is not None:
            self._records.tell(STATE_EVENT, str(wanted.id), entry.at, entry)

    def _is_one_more_try(self, version: ManagedVersion) -> bool:
        """Whether this is no news: what failed is tried again for ever, and mostly fails for the same reason."""
        id, state = version.wanted.id, version.state
        if version.attempts > 1 and state in _ON_THE_WAY:
            return True
        if state is State.FAILED:
            again = version.attempts > 1 and self._failures.get(id) == version.reason
            self._failures[id] = version.reason
            return again
        self._failures.pop(id, None)
        return False

    def shows(self, model: str, before: ModelView | None, view: ModelView | None) -> None:
        """Note which version answers by default, if that is another one than before."""
        if self._ledger is None:
            return
        was, version = _default(before), _default(view)
        if was != version:
            self._ledger.note(Default(at=now(), model=model, version=version, was=was))

    def stands(self, *, in_force: bool) -> None:
        """Note that what is wanted is in force, if that is news; nothing is no state to return to."""
        if in_force == self._in_force or self._declared is None:
            return
        self._in_force = in_force
        if not in_force or not self._wants_any:
            return
        declared, at = self._declared, now()
        manifest = None if declared.manifest is None else declared.manifest.decode("utf-8", "replace")
        if self._good.is_good(GoodState(declared.generation, at, manifest)):
            self._keep_good()
        if self._ledger is not None:
            self._ledger.note(Good(at=at, generation=declared.generation))

    def forgets(self, model: str, version: str) -> None:
        """Count what a version has answered before its metrics go."""
        if self._ledger is None:
            return
        for labels in self._count(model, version):
            self._counted.pop(labels, None)

    def _keep_good(self) -> None:
        if self._ledger is not None:
            self._ledger.keep(list(self._good.states))

    # what is counted

    async def run(self) -> None:
        """Count every minute, until cancelled."""
        while self._ledger is not None:
            await asyncio.sleep(self._every_s - now().timestamp() % self._every_s)
            await self.count()

    async def count(self) -> None:
        """Note how many requests each version has answered since the last time; a few versions at a time."""
        if self._ledger is None:
            return
        for number, id in enumerate(self._metrics.versions(), start=1):
            self._count(*id)
            if number % _VERSIONS_AT_ONCE == 0:
                await asyncio.sleep(0)
        minute, self._minute = self._minute, {}
        since, self._since = self._since, now()
        self._ledger.note(Minute(at=self._since, since=since, answered=minute))

    async def end(self) -> None:
        """Note what was answered last, and that the process stops as it was asked to."""
        await self.count()
        if self._ledger is not None:
            self._ledger.note(Ended(at=now()))

    def _count(self, model: str, version: str) -> list[tuple[str, ...]]:
        """Add to the minute what a version has answered since it was last looked at; name what it is counted under."""
        answered = self._metrics.answered_by(model, version)
        for labels, value in answered:
            more = int(value - self._counted.get(labels, 0))
            if more:
                self._counted[labels] = value
                codes = self._minute.setdefault(model, {}).setdefault(version, {})
                codes[labels[-1]] = codes.get(labels[-1], 0) + more
        return [labels for labels, _ in answered]


def _default(view: ModelView | None) -> str | None:
    return view.default.id.version if view is not None and view.default is not None else None


def _versions(model: WantedModel | None) -> WantedVersions | None:
    if model is None:
        return None
    digests: Mapping[str, Any] = {name: one.digest or one.sha256 for name, one in model.versions.items()}
    return WantedVersions(model.default, dict(digests))
