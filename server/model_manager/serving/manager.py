"""The write side: converge what is served to what is wanted. Nothing is reloaded in place.

In the flow: follower → wanted state → **manager** → `next_action` (pure) → load beside or unload → `next_view`
(pure) → registry. A version is loaded off the event loop, proven, and swapped in by one assignment of its model's view;
the old one drains and goes. Whatever goes wrong is contained to the one version; the last good wanted state stays in
force. No step looks at more models than those that changed, so that thousands of them cost the loop no more than ten.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import chain
from typing import Any
from weakref import ref

from model_manager.errors import LoadFailed, one_line
from model_manager.metrics import Convergence, Metrics
from model_manager.repository.lifecycle import NEVER, Load, State, Unload, backoff_s, next_action
from model_manager.repository.wanted import ServableId, WantedState
from model_manager.serving.following import Follower
from model_manager.serving.heap import watched
from model_manager.serving.loading import Loaded, Loader
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.progress import Progress
from model_manager.serving.registry import Registry
from model_manager.serving.views import next_view, standing

logger = logging.getLogger(__name__)

_SWAP_RETRY_S = 0.05  # an artifact that moved while it was read is there again as soon as the folder is read again


class Manager:
    """Follows the models folder and keeps the registry converging to it.

    `reached` is called once, just before the first wanted state is shown as reached; with `any_model` it counts as
    reached once every version is ready or has failed, and any model answers. `let_go` is called whenever memory was
    freed, with weak references to what should be gone.
    """

    def __init__(
        self,
        follower: Follower,
        loader: Loader,
        registry: Registry,
        metrics: Metrics,
        *,
        drain_timeout_s: float,
        any_model: bool = False,
        reached: Callable[[], None] = lambda: None,
        let_go: Callable[[Iterable["ref[Any]"]], None] = lambda gone: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._follower = follower
        self._loader = loader
        self._registry = registry
        self._metrics = metrics
        self._drain_timeout_s = drain_timeout_s
        self._any_model = any_model
        self._reached = reached
        self._let_go = let_go
        self._clock = clock
        self._wanted: WantedState | None = None
        self._versions: dict[str, list[ManagedVersion]] = {}  # by model, the oldest first
        self._due: set[str] = set()  # models for which there may be something to do
        self._retries: list[tuple[float, str]] = []  # a heap: when to look at which model again
        self._wake = asyncio.Event()
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
                delay = max(0.0, self._retries[0][0] - self._clock()) if self._retries else None
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                while self._retries and self._retries[0][0] <= self._clock():
                    self._due.add(heappop(self._retries)[1])

    async def drain(self) -> None:
        """Wait for every lease, then close every batcher: the end of a graceful stop, after `run` was cancelled."""
        await asyncio.gather(*(self._retire(version) for version in self._all() if version.servable is not None))

    def _all(self) -> Iterator[ManagedVersion]:
        return chain.from_iterable(self._versions.values())

    async def _follow(self) -> None:
        async for news in self._follower.news():
            self._registry.problem = news.problem
            self._registry.read = news.wanted is not None
            self._wanted = news.wanted
            if news.changed is not None:
                self._progress.wanted_another()
                self._publish(*news.changed)
                self._look_at(*news.changed)

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
                incarnations = [version.incarnation() for version in self._versions.get(name, ())]
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
        if version.task is not None:
            version.task.cancel()  # it loads, or looks for faster forms, or waits to do so again
        if version.state is State.READY:
            version.move(State.DRAINING, action.why)
            tasks.create_task(self._retire(version))
        else:
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
        if loaded is None:
            return
        try:
            await self._loader.improve(loaded, told=version.tell_form)
        except Exception:  # our own bug; the version serves as it is
            logger.exception("looking for faster forms of %s failed in a way it should not", version.wanted.id)
        self._let_go(())

    async def _load(self, version: ManagedVersion) -> Loaded | None:
        """Bring one version from wanted to ready, or to failed with a reason; never raises for a bad version."""

        def entered(state: State, why: str) -> None:
            version.move(state, why)
            self._publish(version.wanted.id.model)

        try:
            loaded = await self._loader.load(version.wanted, entered=entered)
        except LoadFailed as error:
            if error.reason == "internal":
                logger.exception("loading %s failed in a way it should not", version.wanted.id)
            self._failed(version, error)
        except Exception as error:  # our own bug must not take down the versions that serve
            logger.exception("loading %s failed in a way it should not", version.wanted.id)
            self._failed(version, LoadFailed("internal", one_line(error)))
        else:
            version.servable = loaded.servable
            version.servable.batcher.hung = partial(self._has_hung, version)
            version.watched = watched(loaded.servable, loaded.predictor, loaded.predictor.estimator)
            self._publish(version.wanted.id.model)  # ready is said after it can be leased
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
        heappush(self._retries, (version.retry_at, version.wanted.id.model))
        version.quarantined = error.reason == "quarantined"
        version.move(State.FAILED, f"{error.reason}: {error}")
        self._let_go(())
        self._publish(version.wanted.id.model)

    def _has_hung(self, version: ManagedVersion, where: str, too_many: str) -> None:
        """Note a prediction that did not return; fail the version when they are too many, though it was ready.

        Whatever else of its model is ready answers from then on.
        """
        id, servable = version.wanted.id, version.servable
        fields = {"model_name": id.model, "model_version": id.version}
        logger.error("%s: predict does not return and was given up %s", id, where, extra=fields)
        if not too_many or version.state is not State.READY or servable is None:
            return
        if version.task is not None:
            version.task.cancel()  # it may look for faster forms
        version.retry_at, version.servable = NEVER, None
        version.move(State.FAILED, f"predict does not return: {too_many}, the last {where}")
        self._publish(id.model)
        servable.batcher.close()
        self._let_go(version.watched)
        self._look_at(id.model)

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
        version.task = None  # a task that was cancelled holds the frames it was cancelled in, and these the version
        version.servable = None  # whose batcher knows the version
        self._let_go(version.watched)
        others = self._versions[version.wanted.id.model]
        others.remove(version)
        if not others:
            del self._versions[version.wanted.id.model]
        if not any(other.wanted.id == version.wanted.id for other in others):
            self._metrics.forget(*version.wanted.id)

    # what requests see

    def _publish(self, *models: str) -> None:
        """Show the next view of these models, each by one assignment, and note how far they are."""
        assert self._wanted is not None, "there is something to show once something is wanted"
        standings = {}
        for name in models:
            wanted, versions = self._wanted.models.get(name), self._versions.get(name, ())
            view = next_view(wanted, versions, self._registry.models.get(name))
            self._registry.show(name, view)
            standings[name] = standing(wanted, versions, view)
        self._progress.note(standings)
        self._registry.ended = self._progress.ended
        if not self._registry.reached and (self._progress.settled or self._one_of_them_answers()):
            self._reached()
            self._registry.reached = True

    def _one_of_them_answers(self) -> bool:
        answers = (view.default is not None for view in self._registry.models.values())
        return self._any_model and self._progress.ended and any(answers)
