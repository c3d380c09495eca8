"""One run: the script's swaps carried out on the stage, one after the other, each until it has taken effect."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final

from loadtests.chaos.artifacts import BAD, BAD_MANIFESTS, Models, Placed, tiny
from loadtests.chaos.script import Swap
from loadtests.chaos.stage import Stage, Stuck
from tools.memory import resident_mb
from tools.processes import ProcessFailed

QUIET_S: Final = 5.0
"""How long nothing is changed at the beginning, to know what is quiet."""
ALONE: Final = 30
"""So many swaps are timed before the others, each once all that came of the one before it is over."""
SETTLED: Final = 10
"""After so many swaps the memory is looked at for the first time."""
THOUSAND: Final = 1000
_GIVEN_BACK_S: Final = 2.0
"""After so long what was freed has gone back to the system."""
_AT_REST_S: Final = 0.2
_BAD_S: Final = 2.0
"""How long a bad artifact is waited for that neither fails nor gets ready: what hangs is taken back while it does."""
_FIRST_OF_MANY: Final = 1_000_000


@dataclass(slots=True)
class Course:
    """What happened. Moments are in seconds of the monotonic clock.

    `quiet` and `loads`: windows in which nothing, or a good version, was loaded. `swap_ms`: from the change of the
    folder to the first answer of the good version; `alone_ms`: of those that came one at a time. `stuck`: what did not
    happen in time.
    """

    began: float = 0.0
    quiet: tuple[float, float] = (0.0, 0.0)
    loads: list[tuple[float, float]] = field(default_factory=list)
    swap_ms: list[float] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)
    swaps: dict[str, int] = field(default_factory=dict)
    stuck: list[str] = field(default_factory=list)
    moments: list[tuple[float, str]] = field(default_factory=list)
    resident_start_mb: float = 0.0
    resident_end_mb: float = 0.0
    thousand_s: float | None = None


class Run:
    """Carries out a script. `thousand` is how many versions are wanted at once."""

    def __init__(self, stage: Stage, *, thousand: int = THOUSAND) -> None:
        self.course = Course()
        self._stage = stage
        self._models = Models()
        self._numbers = count(1)
        self._thousand = thousand
        self._before = ""
        self._refusals = 0.0
        self._do: Mapping[str, Callable[[Swap], None]] = {
            "good": self._good,
            "revert": self._revert,
            "removal": self._removal,
            "bad artifact": self._bad_artifact,
            "bad manifest": self._bad_manifest,
            "emptied": self._emptied,
            "unmounted": self._unmounted,
            "a thousand": self._many,
        }

    def first(self) -> None:
        """Write the folder that the server begins with."""
        stage, name = self._stage, str(next(self._numbers))
        stage.versions, stage.default = {name: Placed(self._models.good(int(name)))}, name
        stage.write()
        stage.answering = name
        stage.allowed.from_now(time.monotonic(), name)

    def quiet(self, seconds: float = QUIET_S) -> None:
        """Let the traffic be alone with the server."""
        self.course.began = time.monotonic()
        time.sleep(seconds)
        self.course.quiet = self.course.began, time.monotonic()

    def alone(self, swaps: int = ALONE) -> None:
        """Time swaps of which each finds the server at rest but for the traffic."""
        swap, course = Swap("good"), self.course
        for _ in range(swaps):
            self._stage.wait(self._stage.is_settled, "the search for faster forms to end")
            time.sleep(_AT_REST_S)
            course.moments.append((time.monotonic(), swap.kind))
            self._good(swap)
        course.alone_ms, course.swap_ms = course.swap_ms, []

    def carry_out(self, script: Sequence[Swap], *, told: Callable[[Swap], None] = lambda swap: None) -> None:
        """Do every swap, and tell of each. What the server does not survive is noted, and another one started."""
        course = self.course
        for number, swap in enumerate(script):
            course.moments.append((time.monotonic(), swap.kind))
            name = f"{swap.kind} {swap.detail}".strip()
            try:
                self._do[swap.kind](swap)
            except (Stuck, ProcessFailed) as error:
                self._recover(name, error)
            course.swaps[name] = course.swaps.get(name, 0) + 1
            if number == min(SETTLED, len(script) // 2):
                course.resident_start_mb = self._resident_mb()
            told(swap)
        course.resident_end_mb = self._resident_mb()

    def _resident_mb(self) -> float:
        """What the server holds once it has done what it does after a swap: looking for faster forms takes memory."""
        with contextlib.suppress(Stuck):
            self._stage.wait(self._stage.is_settled, "the search for faster forms to end")
        time.sleep(_GIVEN_BACK_S)
        return resident_mb(self._stage.pid)

    def _recover(self, name: str, error: Exception) -> None:
        """Go back to the last good version, with another server if this one ended or does not go on."""
        stage = self._stage
        stage.versions, stage.default = self._good_ones(stage.answering), stage.answering
        stage.write()
        if not stage.revive(name):
            self.course.stuck.append(f"{name}: {error}")
            stage.replace(name)
        stage.wait(lambda: stage.answers(stage.answering), "the restarted server to answer")
        stage.allowed.from_now(time.monotonic(), stage.answering)

    def _good_ones(self, *names: str) -> dict[str, Placed]:
        return {name: self._stage.versions[name] for name in names if name}

    # the swaps

    def _good(self, swap: Swap) -> None:
        """Another version, by default; the one before it stays, and the one before that goes."""
        stage, name = self._stage, str(next(self._numbers))
        artifact = Placed(self._models.good(int(name)))
        stage.versions, stage.default = {**self._good_ones(stage.answering), name: artifact}, name
        self._before = stage.answering
        self._change_to(name)

    def _change_to(self, name: str) -> None:
        stage = self._stage
        stage.allowed.from_now(time.monotonic(), stage.answering, name)
        changed = stage.write()
        stage.wait(lambda: stage.answers(name), f"version {name} to answer")
        answered = time.monotonic()
        stage.allowed.from_now(answered, name)
        stage.answering = name
        self.course.swap_ms.append((answered - changed) * 1e3)
        self.course.loads.append((changed, answered))

    def _revert(self, swap: Swap) -> None:
        """The version before is the default again; it is loaded already."""
        stage = self._stage
        before = self._before if self._before in stage.versions else stage.answering
        stage.default = before
        stage.allowed.from_now(time.monotonic(), stage.answering, before)
        stage.write()
        stage.wait(lambda: stage.answers(before), f"version {before} to answer again")
        stage.allowed.from_now(time.monotonic(), before)
        stage.answering = before

    def _removal(self, swap: Swap) -> None:
        """Nothing is wanted any more but what answers."""
        stage = self._stage
        stage.versions, stage.default = self._good_ones(stage.answering), stage.answering
        stage.write()
        stage.wait(lambda: set(stage.index()) == {stage.answering}, "the other versions to be gone")

    def _bad_artifact(self, swap: Swap) -> None:
        """A version that cannot serve, by default: the one that answers goes on."""
        stage, name = self._stage, str(next(self._numbers))
        bad = BAD[swap.detail](self._models.good(int(name)), stage.elsewhere)
        stage.versions, stage.default = {**self._good_ones(stage.answering), name: bad}, name
        stage.write()
        stage.wait(lambda: name in stage.index(), "the bad version to be known")
        given_up = time.monotonic() + _BAD_S
        stage.wait(lambda: stage.index()[name] != "LOADING" or time.monotonic() > given_up, "the bad version to fail")
        stage.versions, stage.default = self._good_ones(stage.answering), stage.answering
        stage.write()
        stage.wait(lambda: name not in stage.index(), "the bad version to be forgotten")

    def _bad_manifest(self, swap: Swap) -> None:
        """A manifest that is refused: what serves goes on."""
        with self._trouble():
            self._stage.write(manifest=BAD_MANIFESTS[swap.detail])

    def _emptied(self, swap: Swap) -> None:
        with self._trouble():
            self._stage.empty()

    def _unmounted(self, swap: Swap) -> None:
        """An empty folder in the place of the mount, until that is back: nothing is unloaded."""
        with self._trouble(), self._stage.unmounted():
            self._stage.wait(lambda: self._stage.refusals() > self._refusals, "the empty folder to be noticed")

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Expect that the folder cannot be used after the body, and that it can once it is written again."""
        stage = self._stage
        self._refusals, recoveries = stage.refusals(), stage.recoveries()
        yield
        stage.wait(lambda: stage.refusals() > self._refusals, "the folder to be refused")
        stage.write()
        stage.wait(lambda: stage.recoveries() > recoveries, "the folder to be used again")

    def _many(self, swap: Swap) -> None:
        """Very many versions at once, beside the one that answers; then they go again."""
        stage, answering = self._stage, self._stage.answering
        numbers = [_FIRST_OF_MANY + number for number in range(self._thousand)]
        stage.versions = {answering: stage.versions[answering]}
        for number in numbers:
            path = stage.elsewhere / f"{number}.joblib"
            path.write_bytes(tiny(number))
            stage.versions[str(number)] = Placed(path=path)
        stage.default = answering
        changed = stage.write()
        every = {answering, *map(str, numbers)}
        stage.wait(lambda: {name for name, state in stage.index().items() if state == "READY"} == every, "all of them")
        self.course.thousand_s = time.monotonic() - changed
        for number in numbers[:: max(1, len(numbers) // 10)]:
            stage.wait(partial(self._is_there, str(number)), f"version {number} to answer")
        stage.versions = self._good_ones(answering)
        stage.write()
        stage.wait(lambda: set(stage.index()) == {answering}, "all but one to be gone")

    def _is_there(self, version: str) -> bool:
        return self._stage.ask(version) == version
