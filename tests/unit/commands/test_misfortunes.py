"""A full disk, a file that may not grow, kill -9 and ^C: nothing half-written is seen, and a line says what to do next.

What is done to `pack`, `train`, `publish`, `promote`, `evaluate --report` and `compare --rows` is the same for all.
"""

import hashlib
import random
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import pytest
from model_manager.packaging.package import describe_data, write_package
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tests.unit.commands.forked import Commands
from tests.unit.commands.forking import NO_MOUNT
from tests.unit.evaluation.staging import homes, with_sold

MANIFEST = f"""\
# {"what the shop serves " * 80}
models:
  sold:
    default: "1"
    versions:
      "1": {{artifact: a.joblib}}
      "2": {{artifact: b.joblib}}
"""
HALF = {"pack": 6, "train": 6, "publish": 6, "promote": 4, "evaluate": 2, "compare": 2}
"""The number of the operation on files at whose beginning something is there that is not whole."""
AGAIN = "run the same command again"
WRITING: dict[str, Sequence[str]] = {
    "pack": ("m.joblib", "--name", "sold", "--version", "3", "--out", "place"),
    "train": ("sold.csv", "--target", "sold", "--name", "sold", "--version", "3", "--out", "place"),
    "publish": ("repository/sold/2", "place"),
    "promote": ("place/models.yaml", "sold", "2"),
    "evaluate": ("repository/sold/1", "--data", "sold.csv", "--resamples", "0", "--report", "place/report.html"),
    "compare": ("repository/sold/1", "repository/sold/2", "--data", "sold.csv", "--rows", "place/rows.csv"),
}
"""Commands that write into the folder `place`, each of which writes more than a KiB into one file."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody with two versions, a table, and `place`, where a manifest and a version lie already."""
    folder = tmp_path_factory.mktemp("desk")
    table = with_sold(homes(200, seed=2))
    table.to_csv(folder / "sold.csv", index=False)
    X, y = table[["größe", "age"]], table["sold"]
    data = describe_data(table, uri="sold.csv", target="sold")
    for version, model in (("1", LogisticRegression()), ("2", DecisionTreeClassifier(random_state=0))):
        learned = model.fit(X, y if version == "1" else np.roll(y, 1))
        write_package(learned, name="sold", version=version, repository=folder / "repository", data=data)
    joblib.dump(DecisionTreeClassifier(random_state=0).fit(X, y), folder / "m.joblib")
    shutil.copytree(folder / "repository" / "sold" / "1", folder / "place" / "sold" / "1")
    (folder / "place" / "models.yaml").write_text(MANIFEST, encoding="utf-8")
    return folder


@pytest.fixture
def place(desk: Path, tmp_path: Path) -> Path:
    """A copy of the desk's folder `place`, in a copy of the desk."""
    shutil.copytree(desk, tmp_path / "desk")
    return tmp_path / "desk" / "place"


def seen(place: Path) -> dict[str, str]:
    """The digests of all files that do not begin with a dot, nor lie in a folder that does."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(place).parts)
    }


def hidden(place: Path) -> list[str]:
    return [path.name for path in place.rglob(".*")]


@pytest.mark.parametrize("command", WRITING)
def test_a_full_disk_keeps_what_it_has_and_is_told(commands: Commands, place: Path, command: str) -> None:
    before = seen(place)
    done = commands.run(command, *WRITING[command], folder=place.parent, full=place)
    if done.status == NO_MOUNT:
        pytest.skip("mounting a disk that is full needs the right to mount")
    assert (done.status, done.stdout) == (2, "")
    assert done.said.endswith(f"No space left on device; nothing was written: make room there, and {AGAIN}")
    assert done.moments == [before]


@pytest.mark.parametrize("command", WRITING)
def test_a_file_that_may_not_grow_is_not_left_half(commands: Commands, place: Path, command: str) -> None:
    before = seen(place)
    done = commands.run(command, *WRITING[command], folder=place.parent, limit=1024)
    assert (done.status, done.stdout) == (2, "")
    advice = f"raise the limit of the shell (ulimit -f), and {AGAIN}"
    assert done.said.endswith(f"File too large; nothing was written: {advice}")
    assert (seen(place), hidden(place)) == (before, [])


PRINTING: Sequence[Sequence[str]] = (
    ("configmap", "models", "repository/sold"),
    ("configmap", "models", "repository/sold", "--json"),
    ("list", "repository"),
    ("evaluate", "repository/sold/1", "--data", "sold.csv", "--json"),
    ("compare", "repository/sold/1", "repository/sold/2", "--data", "sold.csv"),
    ("promote", "-", "sold", "2"),
)


@pytest.mark.parametrize("arguments", PRINTING)
def test_what_is_printed_into_a_full_disk_is_told_and_no_verdict(
    commands: Commands, desk: Path, arguments: Sequence[str]
) -> None:
    done = commands.run(*arguments, folder=desk, output="/dev/full", given=MANIFEST)
    assert done.status == 2
    assert done.stderr.endswith(
        f"model-manager: what it prints cannot be written whole, No space left on device: make room, and {AGAIN}\n"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", WRITING)
def test_at_every_moment_all_is_there_or_nothing(commands: Commands, place: Path, command: str) -> None:
    """What is to be seen when an operation on files begins is what kill -9 would leave there."""
    before = seen(place)
    done = commands.run(command, *WRITING[command], folder=place.parent, under=place)
    assert done.status in (0, 1), done.stderr
    after = seen(place)
    assert sorted(after.items()) != sorted(before.items())
    assert len(done.moments) >= 3
    assert done.moments[0] == before
    changed = [moment != before for moment in done.moments]
    assert changed == sorted(changed), "once changed it stays so"
    assert all(moment in (before, after) for moment in done.moments)
    assert hidden(place) == []


@pytest.mark.parametrize("command", ["pack", "promote", "compare"])  # a folder, a file that is changed, a new one
def test_who_is_killed_leaves_nothing_in_the_way_of_the_next(commands: Commands, place: Path, command: str) -> None:
    before = seen(place)
    at = HALF[command]
    killed = commands.run(command, *WRITING[command], folder=place.parent, stop=signal.SIGKILL, at=at, under=place)
    assert (killed.status, len(killed.moments)) == (-signal.SIGKILL, at)
    assert seen(place) == before
    assert hidden(place), "what was written half"
    done = commands.run(command, *WRITING[command], folder=place.parent)
    assert done.status in (0, 1), done.stderr
    assert seen(place) != before


@pytest.mark.parametrize("command", WRITING)
def test_who_is_interrupted_leaves_nothing_and_hears_what_to_do(commands: Commands, place: Path, command: str) -> None:
    before = seen(place)
    done = commands.run(
        command, *WRITING[command], folder=place.parent, stop=signal.SIGINT, at=HALF[command], under=place
    )
    assert done.status in (2, 130), done
    assert done.said.startswith("interrupted")
    assert "again" in done.said or f"to go on: model-manager {command}" in done.said
    assert (seen(place), hidden(place)) == (before, [])


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_a_stop_at_any_moment_of_the_work_writes_nothing_and_is_no_verdict(
    commands: Commands, place: Path, command: str
) -> None:
    before = seen(place)
    for at in random.Random(7).sample(range(20, 400), 3):
        done = commands.run(command, *WRITING[command], folder=place.parent, stop=signal.SIGINT, at=at)
        if done.status in (0, 1):  # it had ended before
            continue
        assert done.status in (2, 130), done
        assert done.said.startswith("interrupted")
        assert (seen(place), hidden(place)) == (before, [])
