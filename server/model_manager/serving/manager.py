"""The write side: converge what is served to what is wanted. Nothing is reloaded in place.

In the flow: follower → wanted state → **manager** → `next_action` (pure) → load beside or unload → `next_view`
(pure) → registry. A version is loaded off the event loop, proven, and swapped in by one assignment of its model's view;
the old one drains and goes. Whatever goes wrong is contained to the one version; the last good wanted state stays in
force. No step looks at more versions than those to which something happened, and none at many at once, so that
thousands of them, of one model or of many, hold the loop no longer than ten.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import chain
from typing import Any, Final
from weakref import ref

from model_manager.errors import LoadFailed, one_line
from model_manager.metrics import Convergence, Metrics
from model_manager.repository.lifecycle import (
    NEVER,
    Load,
    State,
    Unload,
    backoff_s,
    load_order,
    next_action,
    why_omitted_may_go,
)
from model_manager.repository.wanted import ServableId, WantedModel, WantedState
from model_manager.serving.chronicle import Chronicle
from model_manager.serving.declaration import Declaration
from model_manager.serving.following import Follower
from model_manager.serving.heap import watched
from model_manager.serving.improving import Improver, Loaded
from model_manager.serving.loading import Loader
from model_manager.serving.managed import ManagedVersion
from model_manager.serving.progress import Part, Progress
from model_manager.serving.registry import Registry
from model_manager.serving.views import AS_A_WHOLE, Standing, next_view, standings

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 50  # versions looked at before requests have their turn: about ten milliseconds
_SWAP_RETRY_S = 0.05  # an artifact that moved while it was read is there again as soon as the folder is read again


class Manager:
    """Follows the models folder and keeps the registry converging to it.

    `reached` is called once, just before the first wanted state is shown as reached; with `any_model` it counts as
    reached once every version is ready or has failed, and any model answers. `let_go` is called whenever memory was
    freed, with weak references to what should be gone. `chronicle`: who keeps what happens.
    """

    def __init__(
        self,
        follower: Follower,
        loader: Loader,
        improver: Improver,
        registry: Registry,
        metrics: Metrics,
        *,
        drain_timeout_s: float,
        any_model: bool = False,
        reached: Callable[[], None] = lambda: None,
        let_go: Callable[[Iterable["ref[Any]"]], None] = lambda gone: None,
        chronicle: Chronicle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._follower = follower
        self._loader = loader
        self._improver = improver
        self._registry = registry
        self._metrics = metrics
        self._drain_timeout_s = drain_timeout_s
        self._any_model = any_model
        self._reached = reached
        self._let_go = let_go
        self._chronicle = chronicle or Chronicle(metrics)
        self._clock = clock
        self._wanted: WantedState | None = None
        self._declared = Declaration()
        self._versions: dict[str, dict[str, list[ManagedVersion]]] = {}  # by model and version, the oldest first
        self._due: dict[str, set[str]] = {}  # versions, by model, for which there may be something to do
        self._retries: list[tuple[float, ServableId]] = []  # a heap: when to look at which version again
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
                await self._converge(tasks)
                delay = max(0.0, self._retries[0][0] - self._clock()) if self._retries else None
                try:
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                while self._retries and self._retries[0][0] <= self._clock():
                    _, id = heappop(self._retries)
                    self._look_at(*id)

    async def drain(self) -> None:
        """Wait for every lease, then close every batcher: the end of a graceful stop, after `run` was cancelled."""
        await asyncio.gather(*(self._retire(version) for version in self._all() if version.servable is not None))

    def _all(self) -> Iterator[ManagedVersion]:
        return chain.from_iterable(versions for model in self._versions.values() for versions in model.values())

    async def _follow(self) -> None:
        async for news in self._follower.news():
            self._registry.problem = news.problem
            self._registry.read = news.wanted is not None
            self._wanted = self._declared.becomes(news.wanted, news.changed)
            self._registry.ignored = news.wanted.ignored if news.wanted is not None else ()
            if news.wanted is None:
                continue
            self._chronicle.wanted_another(news.wanted, news.changed)
            if news.changed is None:
                self._chronicle.stands(in_force=self._progress.in_force)
                continue
            known = {name: self._known(name, news.wanted.models.get(name)) for name in news.changed}
            self._progress.wanted_another(
                (name, version) for name, versions in known.items() for version in (*versions, AS_A_WHOLE)
            )
            self._note({})  # nothing may be wanted
            for name, versions in known.items():
                self._look_at(name, *versions)

    def unload(self, model: str) -> bool:
        """Let a model go as if it were wanted no longer, until the folder wants it otherwise. False: no such model."""
        return model in self._declared and self._want_otherwise(model, self._declared.without(model))

    def load(self, model: str) -> bool:
        """Take up a model that was unloaded, and try again now what failed of it. False: no such model."""
        for version in chain.from_iterable(self._versions.get(model, {}).values()):
            if version.state is State.FAILED:
                version.retry_at = self._clock()
        return model in self._declared and self._want_otherwise(model, self._declared.again_with(model))

    def _want_otherwise(self, model: str, wanted: WantedState) -> bool:
        """Converge to what an operator made of one model."""
        self._wanted = wanted
        known = self._known(model, wanted.models.get(model))
        self._progress.wanted_another((model, version) for version in (*known, AS_A_WHOLE))
        self._look_at(model, *known)
        return True

    def _known(self, name: str, wanted: WantedModel | None) -> set[str]:
        """Every version of a model that is wanted, there, or shown."""
        view = self._registry.models.get(name)
        shown = view.statuses if view is not None else {}
        return {*shown, *self._versions.get(name, ()), *(wanted.versions if wanted is not None else ())}

    def _look_at(self, model: str, *versions: str) -> None:
        """See that converging goes on with these versions of a model: something happened to them."""
        self._due.setdefault(model, set()).update(versions)
        self._wake.set()

    # convergence

    async def _converge(self, tasks: asyncio.TaskGroup) -> None:
        """Take every action that is due, a few at a time: meanwhile requests have their turns, and loads begin."""
        steps = 0
        while self._due:
            assert self._wanted is not None, "something is due once something is wanted"
            model, due = self._due.popitem()
            for versions in _few(load_order(self._wanted.models.get(model), due)):
                self._step(model, versions, tasks)
                steps += 1 + len(versions)
                if steps > _AT_ONCE:
                    steps = 0
                    await asyncio.sleep(0)

    def _step(self, model: str, versions: Sequence[str], tasks: asyncio.TaskGroup) -> None:
        """Take the actions that are due for these versions of a model, and show what came of it."""
        assert self._wanted is not None, "there is something to do once something is wanted"
        wanted, view = self._wanted.models.get(model), self._registry.models.get(model)
        may_go = why_omitted_may_go(wanted, view.ready if view is not None else ())
        for name in versions:
            version = wanted.versions.get(name) if wanted is not None else None
            while True:
                incarnations = [one.incarnation() for one in self._incarnations(model, name)]
                action = next_action(version, incarnations, may_go, self._clock())
                if action is None:
                    break
                if isinstance(action, Load):
                    self._start_loading(action, tasks)
                else:
                    self._start_unloading(action, tasks)
        self._publish(model, *versions)

    def _incarnations(self, model: str, version: str) -> Sequence[ManagedVersion]:
        return self._versions.get(model, {}).get(version, ())

    def _start_loading(self, action: Load, tasks: asyncio.TaskGroup) -> None:
        model, name = action.version.id
        failed = self._find(action.version.id, action.version.fingerprint)
        version = ManagedVersion(action.version, attempts=failed.attempts + 1 if failed is not None else 1)
        version.moved = self._chronicle.moved
        incarnations = self._versions.setdefault(model, {}).setdefault(name, [])
        if failed is not None:
            incarnations.remove(failed)
        incarnations.append(version)
        version.begin(action.why)
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
        for version in self._incarnations(*id):
            if version.state not in (State.DRAINING, State.GONE) and version.wanted.fingerprint == fingerprint:
                return version
        return None

    async def _load_and_improve(self, version: ManagedVersion) -> None:
        loaded = await self._load(version)
        if loaded is None:
            return
        try:
            await self._improver.improve(loaded, told=version.tell_form)
        except Exception:  # our own bug; the version serves as it is
            logger.exception("looking for faster forms of %s failed in a way it should not", version.wanted.id)
        self._let_go(())

    async def _load(self, version: ManagedVersion) -> Loaded | None:
        """Bring one version from wanted to ready, or to failed with a reason; never raises for a bad version."""

        def entered(state: State, why: str) -> None:
            version.move(state, why)
            self._publish(*version.wanted.id)

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
            version.servable.batcher.lost = partial(self._give_up, version, "predict ends its process")
            version.watched = watched(*loaded.held)
            self._publish(*version.wanted.id)  # ready is said after it can be leased
            rows = loaded.servable.provenance.golden_rows
            version.move(State.READY, f"it answered {rows} golden rows" if rows else "its package has no golden rows")
            self._publish(*version.wanted.id)
            self._look_at(*version.wanted.id, *self._omitted(version.wanted.id.model))  # which may go now
            return loaded
        self._look_at(*version.wanted.id)
        return None

    def _omitted(self, model: str) -> Iterable[str]:
        """The versions of a model that are there and no longer wanted."""
        wanted = self._wanted.models.get(model) if self._wanted is not None else None
        there = self._versions.get(model, {}).keys()
        return there - wanted.versions.keys() if wanted is not None else there

    def _failed(self, version: ManagedVersion, error: LoadFailed) -> None:
        self._metrics.load_failures.labels(*version.wanted.id, error.reason).inc()
        moved = error.reason == "missing" and version.wanted.digest is not None and version.attempts == 1
        version.retry_at = self._clock() + (_SWAP_RETRY_S if moved else backoff_s(version.attempts))
        heappush(self._retries, (version.retry_at, version.wanted.id))
        version.quarantined = error.reason == "quarantined"
        version.move(State.FAILED, f"{error.reason}: {error}")
        self._let_go(())
        self._publish(*version.wanted.id)

    def _has_hung(self, version: ManagedVersion, where: str, too_many: str) -> None:
        """Note a prediction that did not return."""
        id = version.wanted.id
        fields = {"model_name": id.model, "model_version": id.version}
        logger.error("%s: predict does not return and was given up %s", id, where, extra=fields)
        self._give_up(version, "predict does not return", where, too_many)

    def _give_up(self, version: ManagedVersion, what: str, last: str, too_many: str) -> None:
        """Fail a version because of `what` its predictions do, if they are too many, though it was ready.

        Whatever else of its model is ready answers from then on.
        """
        id, servable = version.wanted.id, version.servable
        if not too_many or version.state is not State.READY or servable is None:
            return
        if version.task is not None:
            version.task.cancel()  # it may look for faster forms
        version.retry_at, version.servable = NEVER, None
        version.move(State.FAILED, f"{what}: {too_many}, the last {last}")
        self._publish(*id)
        servable.batcher.close()
        self._let_go(version.watched)
        self._look_at(*id)

    async def _retire(self, version: ManagedVersion) -> None:
        """Wait for the leases of a version that is no longer given out, close its batcher, and forget it."""
        servable = version.servable
        assert servable is not None, "only what was ready is retired"
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
        self._look_at(*version.wanted.id)

    def _forget(self, version: ManagedVersion) -> None:
        """Drop a version, and its series unless another incarnation of the same version goes on counting."""
        version.task = None  # a task that was cancelled holds the frames it was cancelled in, and these the version
        version.servable = None  # whose batcher knows the version
        self._let_go(version.watched)
        model, name = version.wanted.id
        others = self._versions[model][name]
        others.remove(version)
        if others:
            return
        del self._versions[model][name]
        if not self._versions[model]:
            del self._versions[model]
        self._chronicle.forgets(model, name)
        self._metrics.forget(model, name)

    # what requests see

    def _publish(self, model: str, *versions: str) -> None:
        """Show the next view of a model, by one assignment, and note how far these versions of it are."""
        assert self._wanted is not None, "there is something to show once something is wanted"
        wanted, there = self._wanted.models.get(model), self._versions.get(model, {})
        before = self._registry.models.get(model)
        view = next_view(wanted, there, before, versions)
        self._registry.show(model, view)
        self._chronicle.shows(model, before, view)
        self._note({(model, name): each for name, each in standings(wanted, there, view, versions).items()})

    def _note(self, standings: Mapping[Part, Standing]) -> None:
        self._progress.note(standings)
        self._registry.ended = self._progress.ended
        self._chronicle.stands(in_force=self._progress.in_force)
        if not self._registry.reached and (self._progress.settled or self._one_of_them_answers()):
            self._reached()
            self._registry.reached = True

    def _one_of_them_answers(self) -> bool:
        answers = (view.default is not None for view in self._registry.models.values())
        return self._any_model and self._progress.ended and any(answers)


def _few(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Names in parts that are soon done with; one part without any where there are none."""
    for start in range(0, max(1, len(names)), _AT_ONCE):
        yield names[start : start + _AT_ONCE]
