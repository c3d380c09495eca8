"""The write side: converge what is served to what is wanted. Nothing is reloaded in place.

In the flow: watch → source → wanted state → **manager** → `next_action` (pure) → load beside or unload → snapshot.
A version is loaded off the event loop, proven, and swapped in by one assignment of the registry's snapshot; the old one
drains and goes. Whatever goes wrong is contained to the one version; the last good wanted state stays in force.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from itertools import chain

from model_manager.errors import ConfigurationError, LoadFailed, ManifestInvalid
from model_manager.metrics import Convergence, Metrics
from model_manager.repository.lifecycle import (
    Load,
    State,
    Unload,
    backoff_s,
    choose_default,
    next_action,
)
from model_manager.repository.source import Source
from model_manager.repository.wanted import ServableId, WantedModel, WantedState
from model_manager.serving.folder_changes import changes
from model_manager.serving.loading import Loaded, Loader
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.progress import Progress
from model_manager.serving.registry import ModelView, Registry, Snapshot, VersionStatus
from model_manager.serving.servable import Servable

logger = logging.getLogger(__name__)

_SWAP_RETRY_S = 0.05  # an artifact that moved while it was read is there again as soon as the folder is read again


class Manager:
    """Follows the models folder and keeps the registry converging to it.

    `reached` is called once, just before the first wanted state is published as reached.
    """

    def __init__(
        self,
        source: Source,
        loader: Loader,
        registry: Registry,
        metrics: Metrics,
        *,
        executor: Executor,
        poll_interval_s: float,
        drain_timeout_s: float,
        reached: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._loader = loader
        self._registry = registry
        self._metrics = metrics
        self._executor = executor
        self._poll_interval_s = poll_interval_s
        self._drain_timeout_s = drain_timeout_s
        self._reached = reached
        self._clock = clock
        self._wanted: WantedState | None = None
        self._versions: dict[str, list[ManagedVersion]] = {}  # by model
        self._due: set[str] = set()  # models for which there may be something to do
        self._wake = asyncio.Event()
        self._problem = ""
        self._progress = Progress(clock)

    @property
    def convergence(self) -> Convergence:
        """How far what is served is from what is wanted, now."""
        return self._progress.now()

    async def run(self) -> None:
        """Converge until cancelled. Cancellation stops loading and leaves what is served as it is."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            while True:
                self._converge(tasks)
                failed = [version for version in self._all() if version.state is State.FAILED]
                delay = max(0.0, min(version.retry_at for version in failed) - self._clock()) if failed else None
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                self._due.update(version.wanted.id.model for version in failed)

    async def drain(self) -> None:
        """Wait for every lease, then close every batcher: the end of a graceful stop, after `run` was cancelled."""
        await asyncio.gather(*(self._retire(version) for version in self._all() if version.servable is not None))

    def _all(self) -> Iterator[ManagedVersion]:
        return chain.from_iterable(self._versions.values())

    # wanted state

    async def _follow(self) -> None:
        async for _ in changes(self._source.folder, poll_interval_s=self._poll_interval_s):
            await self._read()

    async def _read(self) -> None:
        """Read the folder off the loop; on trouble the last good wanted state stays in force."""
        try:
            wanted = await asyncio.get_running_loop().run_in_executor(self._executor, self._source.read)
        except ConfigurationError as error:
            reason = "manifest_invalid" if isinstance(error, ManifestInvalid) else "unreadable"
            self._metrics.source_failures.labels(reason).inc()
            self._report(str(error))
            return
        self._report("")
        changed, self._wanted = wanted != self._wanted, wanted
        if changed:
            self._progress.wanted_another()
            names = ", ".join(
                str(version.id) for model in wanted.models.values() for version in model.versions.values()
            )
            logger.info("wanted: %s", names or "nothing")
        if changed:
            self._look_at(*wanted.models, *self._versions)

    def _report(self, problem: str) -> None:
        """Log a problem of the source once, and its end."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem:
            logger.error("the models folder cannot be used, what is served stays: %s", problem)
        else:
            logger.info("the models folder can be used again")
        self._publish()

    def _look_at(self, *models: str) -> None:
        """See that converging goes on with these models: something happened to them."""
        self._due.update(models)
        self._wake.set()

    # convergence

    def _converge(self, tasks: asyncio.TaskGroup) -> None:
        """Take every action that is due now, model by model, so that none waits for another."""
        if self._wanted is None or not self._due:
            return
        due, self._due = self._due, set()
        for name in due:
            wanted = self._wanted.models.get(name)
            while True:
                incarnations = [version.snapshot() for version in self._versions.get(name, ())]
                action = next_action(wanted, incarnations, self._clock())
                if action is None:
                    break
                if isinstance(action, Load):
                    self._start_loading(action, tasks)
                else:
                    self._start_unloading(action, tasks)
        self._publish(*due)

    def _start_loading(self, action: Load, tasks: asyncio.TaskGroup) -> None:
        failed = self._find(action.version.id, action.version.fingerprint)
        if failed is not None:
            self._versions[action.version.id.model].remove(failed)
        version = ManagedVersion(action.version, attempts=failed.attempts + 1 if failed is not None else 1)
        self._versions.setdefault(action.version.id.model, []).append(version)
        version.tell(action.why)
        version.task = tasks.create_task(self._load_and_improve(version))

    def _start_unloading(self, action: Unload, tasks: asyncio.TaskGroup) -> None:
        version = self._find(action.id, action.fingerprint)
        assert version is not None, "next_action only unloads what it was shown"
        if version.state is State.READY:
            version.move(State.DRAINING, action.why)
            tasks.create_task(self._retire(version))
        else:
            if version.task is not None:
                version.task.cancel()
            version.move(State.GONE, action.why)
            self._forget(version)

    def _find(self, id: ServableId, fingerprint: str) -> ManagedVersion | None:
        for version in self._versions.get(id.model, ()):
            alive = version.state not in (State.DRAINING, State.GONE)
            if alive and version.wanted.id == id and version.wanted.fingerprint == fingerprint:
                return version
        return None

    async def _load_and_improve(self, version: ManagedVersion) -> None:
        loaded = await self._load(version)
        if loaded is not None:
            await self._loader.improve(loaded)
            version.tell_form()

    async def _load(self, version: ManagedVersion) -> Loaded | None:
        """Bring one version from wanted to ready, or to failed with a reason; never raises for a bad version."""

        def entered(state: State, why: str) -> None:
            version.move(state, why)
            self._publish(version.wanted.id.model)

        try:
            loaded = await self._loader.load(version.wanted, entered=entered)
        except LoadFailed as error:
            self._failed(version, error)
        except Exception as error:  # our own bug must not take down the versions that serve
            logger.exception("loading %s failed in a way it should not", version.wanted.id)
            self._failed(version, LoadFailed("internal", f"{type(error).__name__}: {error}"))
        else:
            version.servable = loaded.servable
            self._publish(version.wanted.id.model, arriving=version)  # ready is said after it can be leased
            rows = loaded.servable.provenance.golden_rows
            version.move(State.READY, f"it answered {rows} golden rows" if rows else "its package has no golden rows")
            self._publish(version.wanted.id.model)
            self._look_at(version.wanted.id.model)
            return loaded
        self._look_at(version.wanted.id.model)
        return None

    def _failed(self, version: ManagedVersion, error: LoadFailed) -> None:
        self._metrics.load_failures.labels(*version.wanted.id, error.reason).inc()
        moved = error.reason == "missing" and version.wanted.digest is not None and version.attempts == 1
        version.retry_at = self._clock() + (_SWAP_RETRY_S if moved else backoff_s(version.attempts))
        version.move(State.FAILED, f"{error.reason}: {error}")
        self._publish(version.wanted.id.model)

    async def _retire(self, version: ManagedVersion) -> None:
        """Wait for the leases of a version that is no longer given out, close its batcher, and forget it."""
        servable = version.servable
        assert servable is not None, "only what was ready is retired"
        self._publish(version.wanted.id.model)
        why = "no request holds it any more"
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await servable.drained()
        except TimeoutError:
            why = f"it still had requests after {self._drain_timeout_s:g} s of draining"
            logger.warning("%s: %s", version.wanted.id, why)
        servable.batcher.close()
        if version.state is State.DRAINING:
            version.move(State.GONE, why)
        self._forget(version)
        self._look_at(version.wanted.id.model)

    def _forget(self, version: ManagedVersion) -> None:
        """Drop a version, and its series unless another incarnation of the same version goes on counting."""
        others = self._versions[version.wanted.id.model]
        others.remove(version)
        if not others:
            del self._versions[version.wanted.id.model]
        if not any(other.wanted.id == version.wanted.id for other in others):
            self._metrics.forget(*version.wanted.id)

    # what requests see

    def _publish(self, *changed: str, arriving: ManagedVersion | None = None) -> None:
        """Replace the registry's snapshot whole, in one assignment, with new views of the models that changed."""
        wanted = self._wanted.models if self._wanted is not None else {}
        models = dict(self._registry.snapshot.models)
        for name in changed:
            if name in wanted or name in self._versions:
                models[name] = self._view(name, arriving)
            else:
                models.pop(name, None)
        reached = self._registry.snapshot.reached or self._is_settled(wanted, models)
        if reached and not self._registry.snapshot.reached:
            self._reached()
        self._registry.snapshot = Snapshot(models, reached, self._problem)
        if self._wanted is not None:
            self._progress.note(in_force=self._in_force())

    def _is_settled(self, wanted: Mapping[str, WantedModel], models: Mapping[str, ModelView]) -> bool:
        """Whether every wanted version is ready or has failed, and every wanted model has one that answers."""
        return self._wanted is not None and all(
            models[name].default is not None
            and all(
                models[name].statuses[version].state in (State.READY, State.FAILED) for version in wanted[name].versions
            )
            for name in wanted
        )

    def _in_force(self) -> bool:
        """Whether exactly what is wanted is ready, and nothing else is left."""
        assert self._wanted is not None
        wanted = {(v.id, v.fingerprint) for model in self._wanted.models.values() for v in model.versions.values()}
        there = [(v.wanted.id, v.wanted.fingerprint) for v in self._all() if v.state is State.READY]
        return wanted == set(there) and len(there) == sum(map(len, self._versions.values()))

    def _view(self, name: str, arriving: ManagedVersion | None) -> ModelView:
        wanted = self._wanted.models.get(name) if self._wanted is not None else None
        ready: dict[str, Servable] = {}
        statuses: dict[str, VersionStatus] = {}
        for version in wanted.versions if wanted is not None else ():
            statuses[version] = VersionStatus(version, State.WANTED)
        for incarnation in self._versions.get(name, ()):
            version = incarnation.wanted.id.version
            status = VersionStatus(version, incarnation.state, incarnation.reason)
            if incarnation.servable is not None and (incarnation.state is State.READY or incarnation is arriving):
                ready[version] = incarnation.servable
            elif version in ready:  # an older incarnation answers while this one is not there (yet)
                status = VersionStatus(version, State.READY, f"its replacement is {status.state}: {status.reason}")
            statuses[version] = status
        current = self._registry.snapshot.models.get(name)
        default = current.default.id.version if current is not None and current.default is not None else None
        chosen = choose_default(wanted, ready, default)
        return ModelView(ready[chosen] if chosen is not None else None, ready, statuses)
