"""What a running system notes: states, defaults, what is wanted and by whom, and what each version answered."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from model_manager.app import create_app
from model_manager.ledger.entries import Default, Ended, Entry, Good, Lineage, Minute, Moved, Wanted
from model_manager.ledger.reading import Log
from model_manager.repository.lifecycle import State
from model_manager.serving.system import System

from tests.models import put
from tests.scrape import value
from tests.unit.manager.staging import ONE, TWO, is_ready, running, status
from tools.patience import until

FAILURES = "model_manager_load_failures_total"

E = TypeVar("E", bound=Entry)


def noted(folder: Path, kind: Callable[..., E] | type[E]) -> list[E]:
    """All entries of a kind, in order."""
    log = Log(folder)
    segments = [one for segments in log.processes.values() for one in segments]
    return [entry for one in segments for entry in log.entries(one) if isinstance(entry, kind)]  # type: ignore[arg-type]


def manifest(folder: Path, default: str, *versions: str, by: str | None = None, **said: str) -> None:
    """Want these versions of m; `by` writes who it was, first, as `configmap` does."""
    if by is not None:
        (folder / "changed-by.json").write_text(json.dumps({"by": by, **said}))
    lines = "".join(f'      "{version}": {{artifact: {version}.joblib}}\n' for version in versions)
    beside = folder / ".models.yaml"
    beside.write_text(f'models:\n  m:\n    default: "{default}"\n    versions:\n{lines}')
    beside.rename(folder / "models.yaml")


async def predict(system: System, body: Any, times: int) -> None:
    transport = httpx.ASGITransport(create_app(system))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as api:
        for _ in range(times):
            await api.post("/v1/models/m:predict", json=body)


async def test_the_life_of_versions_is_noted_from_the_first_state_to_the_last(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "models", tmp_path / "ledger"
    put(folder, "m", "1", ONE)
    async with running(folder, ledger=str(ledger)) as system:
        await until(lambda: is_ready(system, "m"), "version 1")
        await predict(system, {"instances": [[1.0, 2.0]]}, 3)
        await predict(system, {"instances": [["a"]]}, 1)
        put(folder, "m", "2", TWO)
        await until(lambda: is_ready(system, "m", "2"), "version 2")
        await predict(system, {"instances": [[1.0, 2.0]]}, 2)
        (folder / "m" / "1").rename(tmp_path / "gone")
        await until(lambda: status(system, "m", "1") == (None, ""), "version 1 to go")

    def look() -> None:
        moves = [(one.version, one.was, one.state) for one in noted(ledger, Moved)]
        on_the_way = [(None, "wanted"), ("wanted", "fetching"), ("fetching", "loading"), ("loading", "proving")]
        assert moves == [
            *(("1", *each) for each in [*on_the_way, ("proving", "ready")]),
            *(("2", *each) for each in [*on_the_way, ("proving", "ready")]),
            ("1", "ready", "draining"),
            ("1", "draining", "gone"),
        ]
        assert [(one.was, one.version) for one in noted(ledger, Default)] == [(None, "1"), ("1", "2")]
        states = noted(ledger, Wanted)
        assert [(one.form, one.first, sorted(one.models)) for one in states] == [
            ("folder", True, ["m"]),
            ("folder", False, ["m"]),
            ("folder", False, ["m"]),
        ]
        assert len({one.generation for one in states}) == 3
        assert [one.generation for one in noted(ledger, Good)] == [one.generation for one in states]
        answered = [one.answered for one in noted(ledger, Minute) if one.answered]
        assert answered == [{"m": {"1": {"200": 3, "400": 1}, "2": {"200": 2}}}], "what went away was counted before"
        assert len(noted(ledger, Ended)) == 1
        assert [one.version for one in noted(ledger, Lineage)] == ["1", "2"]

    await asyncio.to_thread(look)


async def test_each_minute_notes_what_was_answered_since_the_last(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "models", tmp_path / "ledger"
    put(folder, "m", "1", ONE)
    async with running(folder, ledger=str(ledger)) as system:
        await until(lambda: is_ready(system, "m"), "version 1")
        for times in (3, 0, 2):
            await predict(system, {"instances": [[1.0, 2.0]]}, times)
            await system.chronicle.count()
    minutes = await asyncio.to_thread(noted, ledger, Minute)
    counts = [one.answered.get("m", {}).get("1", {}).get("200", 0) for one in minutes]
    assert counts == [3, 0, 2, 0]
    assert [one.since for one in minutes[1:]] == [one.at for one in minutes[:-1]]


async def test_a_manifest_says_who_changed_it_and_nobody_is_blamed_for_what_another_did(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "models", tmp_path / "ledger"
    folder.mkdir()
    (folder / "1.joblib").write_bytes(ONE)
    (folder / "2.joblib").write_bytes(TWO)
    manifest(folder, "1", "1", by="ana", at="2026-11-02T12:00:00Z", commit="abc")
    async with running(folder, ledger=str(ledger), poll_interval_s=0.2) as system:
        await until(lambda: is_ready(system, "m"), "version 1")
        manifest(folder, "1", "1", "2")  # by hand, and changed-by.json is still Ana's
        await until(lambda: is_ready(system, "m", "2"), "version 2")
        manifest(folder, "2", "1", "2", by="ben")
        await until(lambda: system.chronicle.last_good[0].manifest.count('default: "2"') == 1, "the default")  # type: ignore[union-attr]
        (folder / "models.yaml").write_text((folder / "models.yaml").read_text() + "# a comment\n")
        await until(lambda: "comment" in (system.chronicle.last_good[0].manifest or ""), "the comment")
    states = await asyncio.to_thread(noted, ledger, Wanted)
    assert [(one.by, one.commit) for one in states] == [("ana", "abc"), (None, None), ("ben", None), (None, None)]
    assert [sorted(one.models) for one in states] == [["m"], ["m"], ["m"], []]


async def test_a_version_that_fails_again_and_again_is_noted_once(tmp_path: Path) -> None:
    folder, ledger = tmp_path / "models", tmp_path / "ledger"
    put(folder, "m", "1", b"no pickle")
    async with running(folder, ledger=str(ledger)) as system:
        labels = {"model_name": "m", "model_version": "1", "reason": "corrupt"}
        await until(
            lambda: value([system.metrics.load_failures.family()], FAILURES, **labels) == 2.0, "it to fail twice"
        )
        assert system.chronicle.last_good == []
    moves = await asyncio.to_thread(noted, ledger, Moved)
    assert [one.state for one in moves] == ["wanted", "fetching", "loading", "failed"]
    assert moves[-1].reason.startswith("corrupt: ")


async def test_the_last_good_state_is_the_last_in_which_everything_served(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "1.joblib").write_bytes(ONE)
    (folder / "2.joblib").write_bytes(b"no pickle")
    manifest(folder, "1", "1")
    good = (folder / "models.yaml").read_text()
    async with running(folder, poll_interval_s=0.2, state=str(tmp_path / "state")) as system:
        await until(lambda: system.chronicle.last_good, "the first state to be good")
        manifest(folder, "2", "1", "2")
        await until(lambda: status(system, "m", "2")[0] is State.FAILED, "version 2 to fail")
        assert [one.manifest for one in system.chronicle.last_good] == [good]
    async with running(folder, poll_interval_s=0.2, state=str(tmp_path / "state")) as system:
        await until(lambda: status(system, "m", "2")[0] is State.FAILED, "version 2 to fail again")
        assert [one.manifest for one in system.chronicle.last_good] == [good], "the next process knows"
        (folder / "2.joblib").write_bytes(TWO)
        await until(lambda: len(system.chronicle.last_good) == 2, "the second state to be good")
        manifest(folder, "2", "2")
        await until(lambda: status(system, "m", "1")[0] is None, "version 1 to go")
        manifest_text = system.chronicle.last_good[0].manifest
        (folder / "models.yaml").write_text("models: {}\n")
        await until(lambda: not system.registry.models, "every model to go")
        assert system.chronicle.last_good[0].manifest == manifest_text, "nothing is no state to return to"


async def test_a_state_is_good_no_longer_once_a_version_fails_in_it_and_again_when_none_does(tmp_path: Path) -> None:
    (tmp_path / "1.joblib").write_bytes(ONE)
    manifest(tmp_path, "1", "1")
    async with running(tmp_path, poll_interval_s=0.2) as system:
        await until(lambda: system.chronicle.last_good, "the state to be good")
        (good,) = system.chronicle.last_good
        for content, states in ((b"no pickle", []), (TWO, [good.generation])):
            (tmp_path / "beside").write_bytes(content)
            (tmp_path / "beside").rename(tmp_path / "1.joblib")  # other bytes under the same manifest
            await until(partial(is_good_in, system, states), "the bytes to be tried")


def is_good_in(system: System, generations: list[str]) -> bool:
    return [one.generation for one in system.chronicle.last_good] == generations


async def test_without_a_ledger_nothing_is_written_and_the_last_good_state_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put(folder, "m", "1", ONE)
    async with running(folder) as system:
        await until(lambda: system.chronicle.last_good, "the state to be good")
        assert system.ledger is None
        assert system.chronicle.last_good[0].manifest is None
