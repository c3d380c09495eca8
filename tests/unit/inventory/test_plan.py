"""`plan`: what it foretells is what converging does, and its exit code says whether something would be unloaded."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st
from model_manager.inventory.plan import plan, problem_of, served_by, served_from
from model_manager.inventory.running_server import Row
from model_manager.repository.lifecycle import (
    Incarnation,
    State,
    Unload,
    choose_default,
    next_action,
    why_omitted_may_go,
)
from model_manager.repository.wanted import (
    Batching,
    ServableId,
    WantedModel,
    WantedState,
    WantedVersion,
    version_order,
)

from tests.unit.inventory.staging import run

BROKEN = "broken"


def version(name: str, content: str, *, rows: int = 1) -> WantedVersion:
    declared = "another" if content == BROKEN else content
    return WantedVersion(ServableId("m", name), "/x", declared, content, None, Batching(max_rows=rows), None)


def state(versions: Mapping[str, tuple[str, int]] | None, default: str | None = None) -> WantedState:
    if not versions:
        return WantedState({})
    wanted = {name: version(name, content, rows=rows) for name, (content, rows) in versions.items()}
    chosen = default if default in wanted else max(wanted, key=version_order)
    return WantedState({"m": WantedModel("m", chosen, wanted)})


def converged(there: list[Incarnation], wanted: WantedModel | None) -> list[Incarnation]:
    """What is there in the end when every load that can succeed does, by the rules that a server follows."""
    for _ in range(100):
        action = None
        for name in {*(one.id.version for one in there), *(wanted.versions if wanted is not None else ())}:
            one = wanted.versions.get(name) if wanted is not None else None
            ready = [each.id.version for each in there if each.state is State.READY]
            own = [each for each in there if each.id.version == name]
            if action := next_action(one, own, why_omitted_may_go(wanted, ready), 0.0):
                break
        if action is None:
            return there
        if isinstance(action, Unload):
            there = [each for each in there if (each.id, each.fingerprint) != (action.id, action.fingerprint)]
        else:
            failed = problem_of(action.version) != ""
            became = State.FAILED if failed else State.READY
            there.append(Incarnation(action.version.id, action.version.fingerprint, became, 1, math.inf))
    raise AssertionError("does not converge")


_versions = st.dictionaries(
    st.sampled_from("123"), st.tuples(st.sampled_from(["a", "b", BROKEN]), st.sampled_from([1, 2])), max_size=3
)


@given(before=_versions, after=_versions, defaults=st.tuples(st.sampled_from("123"), st.sampled_from("123")))
@settings(max_examples=200)
def test_what_is_foretold_is_what_converging_does(
    before: dict[str, tuple[str, int]], after: dict[str, tuple[str, int]], defaults: tuple[str, str]
) -> None:
    old, new = state(before, defaults[0]), state(after, defaults[1])
    first, wanted = old.models.get("m"), new.models.get("m")
    there = converged([], first)
    current = choose_default(first, [one.id.version for one in there if one.state is State.READY], None)
    end = converged(there[:], wanted)
    foretold = plan(served_from(old), new)

    ready = {one.id.version: one.fingerprint for one in end if one.state is State.READY}
    were = {one.id.version: one.fingerprint for one in there if one.state is State.READY}
    of_action = {step.version: step.action for step in foretold.steps}
    assert {name for name, action in of_action.items() if action == "unload"} == were.keys() - ready.keys()
    assert {name for name, action in of_action.items() if action == "load"} == ready.keys() - were.keys()
    assert {name for name, action in of_action.items() if action == "replace"} == {
        name for name in ready.keys() & were.keys() if ready[name] != were[name]
    }
    default = choose_default(wanted, ready, current)
    assert [(one.before, one.after) for one in foretold.defaults] == (
        [(current, default)] if current != default else []
    )
    assert foretold.exit_code == (2 if were.keys() - ready.keys() else 1 if "fail" in of_action.values() else 0)


def test_of_a_server_bytes_are_compared_and_what_is_on_its_way_out_is_not_there() -> None:
    rows = [
        Row("m", "1", "READY", "", {"sha256": "a", "default": "true"}),
        Row("m", "2", "READY", "", {"sha256": "old"}),
        Row("m", "3", "UNAVAILABLE", "corrupt: it does not unpickle"),
        Row("m", "4", "UNLOADING"),
        Row("x", "", "UNAVAILABLE", "ignored /m/x: …", {"ignored": "true"}),
        Row("y", "1", "UNAVAILABLE", "missing: …"),
        Row("z", "1", "LOADING"),
    ]
    wanted = state({"1": ("a", 1), "2": ("b", 1), "3": ("c", 1)}, "2")
    foretold = plan(served_by(rows), wanted)
    assert [(step.model, step.version, step.action) for step in foretold.steps] == [
        ("m", "1", "keep"),
        ("m", "2", "replace"),
        ("m", "3", "load"),
        ("y", "1", "forget"),
        ("z", "1", "unload"),
    ]
    assert foretold.steps[2].why == "it does not serve now: corrupt: it does not unpickle"
    assert [(one.model, one.before, one.after) for one in foretold.defaults] == [("m", "1", "2")]


def planned(*arguments: object) -> tuple[int, dict[str, Any]]:
    result = run("plan", *arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


class TestCommand:
    """The command on real folders."""

    def test_at_the_start_of_a_server_everything_is_loaded(self, repository: Path) -> None:
        code, document = planned(repository)
        assert code == 0
        assert [(step["version"], step["action"]) for step in document["steps"]] == [("1", "load"), ("2", "load")]

    def test_a_version_that_goes_is_unloaded_with_exit_code_2(self, repository: Path, tmp_path: Path) -> None:
        after = Path(shutil.copytree(repository, tmp_path / "after"))
        shutil.rmtree(after / "iris" / "2")
        result = run("plan", after, "--from", repository)
        assert result.exit_code == 2
        assert "it is no longer wanted, once 1 is ready" in result.stdout
        assert "iris: 2 answers by default now, 1 then" in result.stdout
        assert result.stdout.splitlines()[-1] == "Plan: 1 unloaded; 1 kept as they are."
        assert run("plan", repository, "--from", after).exit_code == 0

    def test_a_manifest_that_is_added_unloads_what_it_does_not_name(self, repository: Path, tmp_path: Path) -> None:
        after = Path(shutil.copytree(repository, tmp_path / "after"))
        (after / "models.yaml").write_text(
            "models: {iris: {versions: {'1': {artifact: iris/1/model.joblib}}}}", encoding="utf-8"
        )
        code, document = planned(after, "--from", repository)
        assert code == 2
        assert {step["version"]: step["action"] for step in document["steps"]} == {"1": "keep", "2": "unload"}

    def test_a_manifest_that_vanishes_changes_nothing(self, repository: Path, tmp_path: Path) -> None:
        before = Path(shutil.copytree(repository, tmp_path / "before"))
        (before / "models.yaml").write_text("models: {}", encoding="utf-8")
        result = run("plan", repository, "--from", before)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "has none: a server takes that for a fault; nothing would be loaded or unloaded" in result.stderr

    def refused(self, result: Result) -> str:
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert "what serves stays" in result.stderr
        return result.stderr

    def test_a_manifest_with_a_mistake_is_refused_with_its_line(self, repository: Path, tmp_path: Path) -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "models.yaml").write_text("models:\n  iris:\n    versons: {}\n", encoding="utf-8")
        assert "line 3" in self.refused(run("plan", tmp_path / "new", "--from", repository))
        code, document = planned(tmp_path / "new")
        assert (code, document["steps"]) == (1, [])
        assert "did you mean 'versions'?" in document["refused"]

    def test_an_empty_and_a_missing_folder_unload_nothing(self, repository: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "holds no model" in self.refused(run("plan", tmp_path / "empty", "--from", repository))
        assert "does not exist" in self.refused(run("plan", tmp_path / "nowhere", "--from", repository))

    def test_what_would_not_load_is_told_and_keeps_what_serves(self, repository: Path, tmp_path: Path) -> None:
        after = Path(shutil.copytree(repository, tmp_path / "after"))
        (after / "models.yaml").write_text(
            "models:\n  iris:\n    default: '2'\n    versions:\n"
            f"      '1': {{artifact: nowhere.joblib, sha256: {'a' * 64}}}\n"
            f"      '2': {{artifact: iris/2/model.joblib, sha256: {'b' * 64}}}\n"
            f"      '3': {{artifact: /artifacts/all.joblib, sha256: {'c' * 64}}}\n",
            encoding="utf-8",
        )
        code, document = planned(after, "--from", repository)
        why = {step["version"]: (step["action"], step["why"].split(":")[0]) for step in document["steps"]}
        assert why == {"1": ("fail", "missing"), "2": ("fail", "digest_mismatch"), "3": ("load", "it is new")}
        assert code == 1
        assert all(step["why"].endswith("what serves stays") for step in document["steps"][:2])
        assert document["notes"] == ["iris/3: /artifacts/all.joblib is not on this machine, to be checked"]

    def test_other_options_are_a_replacement_and_what_is_ignored_is_noted(
        self, repository: Path, tmp_path: Path
    ) -> None:
        after = Path(shutil.copytree(repository, tmp_path / "after"))
        (after / "iris" / "2" / "metadata.json").unlink()
        (after / "iris" / "3").mkdir()
        (after / "iris" / "3" / "clf.bin").write_bytes(b"x")
        code, document = planned(after, "--from", repository)
        assert code == 0
        assert document["steps"][1]["why"] == "the same bytes with other metadata or options"
        assert document["notes"][0].startswith(f"ignored {after}/iris/3: it holds clf.bin")

    def test_wrong_usage_and_a_server_that_cannot_be_asked(self, repository: Path) -> None:
        assert run("plan", repository, "--from", repository, "--url", "http://x").exit_code == 2
        assert run("plan", repository, "--url", "http://127.0.0.1:1").exit_code == 3
        assert run("plan", repository, "--from", repository / "nowhere").exit_code == 3


def test_nothing_that_is_only_noted_reaches_standard_error(repository: Path) -> None:
    (repository / "iris" / "3").mkdir()
    (repository / "iris" / "3" / "clf.bin").write_bytes(b"x")
    assert run("plan", repository).stderr == ""


@pytest.mark.parametrize("content", ["a", BROKEN])
def test_what_failed_and_is_no_longer_wanted_is_forgotten_not_unloaded(content: str) -> None:
    foretold = plan(served_from(state({"1": (content, 1)})), WantedState({}))
    assert foretold.exit_code == (2 if content == "a" else 0)
