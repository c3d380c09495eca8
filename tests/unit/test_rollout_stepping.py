"""The way of a rollout: forward on good verdicts, back on a bad one, and on from wherever it was interrupted."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_manager.commands.rollout_places import FilePlace, WeightsOf
from model_manager.errors import ConfigurationError, QueryFailed
from model_manager.rollout.comparison import Comparison, Limits, Side, compare
from model_manager.rollout.stepping import LONGEST_BEAT_S, Outcome, Plan, walk

MANIFEST = """\
models:
  iris:
    default: "1"
    versions: {"1": {artifact: a}, "2": {artifact: b}, "3": {artifact: c}}
"""
LIMITS = Limits(100, 0.001, 1.5, 0.2, fail_on_distance=False)
GOOD = compare(Side("1", requests={"200": 1000}), Side("2", requests={"200": 1000}), LIMITS)
BAD = compare(Side("1", requests={"200": 1000}), Side("2", requests={"500": 1000}), LIMITS)
FEW = compare(Side("1", requests={"200": 1000}), Side("2", requests={"200": 10}), LIMITS)


class Walk:
    """A rollout in a real file, whose verdicts are given beforehand."""

    def __init__(
        self, folder: Path, *verdicts: Comparison | None, interval_s: float = 600, patience_s: float = 600
    ) -> None:
        self.file = folder / "models.yaml"
        if not self.file.exists():
            self.file.write_text(MANIFEST, encoding="utf-8")
        self.plan = Plan("1", "2", (5, 25, 100), interval_s, patience_s)
        self.weights = WeightsOf(FilePlace(self.file), "iris")
        self.waits: list[float] = []
        self.entered: list[int] = []
        self.left: list[int] = []
        self.while_waiting: Callable[[], None] = lambda: None
        self._verdicts: Iterator[Comparison | None] = iter(verdicts)

    def compare(self) -> Comparison:
        found = next(self._verdicts)
        if found is None:
            raise QueryFailed("it is not there")
        return found

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.while_waiting()

    def run(self) -> Outcome:
        return walk(
            self.plan,
            self.weights,
            compare=self.compare,
            wait=self.wait,
            entered=self.entered.append,
            left=lambda percent, found: self.left.append(percent),
        )


def test_it_goes_through_all_steps_and_needs_no_verdict_of_the_last(tmp_path: Path) -> None:
    walk = Walk(tmp_path, *[GOOD] * 40)
    assert walk.run() == "done"
    assert (walk.entered, walk.left) == ([5, 25, 100], [5, 25])
    assert walk.weights.read() == {"1": 0, "2": 100}
    assert walk.waits == [LONGEST_BEAT_S] * 40  # twenty for each of two steps of ten minutes
    assert walk.file.read_text(encoding="utf-8") == MANIFEST.replace(
        "    default", '    traffic: {"1": 0, "2": 100}\n    default', 1
    )


def test_a_worse_version_goes_back_at_once(tmp_path: Path) -> None:
    walk = Walk(tmp_path, *[GOOD] * 20, GOOD, BAD)
    assert walk.run() == "worse"
    assert walk.entered == [5, 25, 0]
    assert walk.weights.read() == {"1": 100, "2": 0}


def test_too_few_requests_are_waited_for_and_then_nothing_changes(tmp_path: Path) -> None:
    waited = Walk(tmp_path, *[FEW] * 30, *[GOOD] * 21)
    assert waited.run() == "done"
    (tmp_path / "models.yaml").unlink()
    in_vain = Walk(tmp_path, *[FEW] * 40)
    assert in_vain.run() == "cannot tell"
    assert in_vain.weights.read() == {"1": 95, "2": 5}


def test_it_goes_on_from_where_the_weights_are(tmp_path: Path) -> None:
    first = Walk(tmp_path, interval_s=10)
    with pytest.raises(StopIteration):  # as ^C may, it ends while the first step is held
        first.run()
    second = Walk(tmp_path, GOOD, GOOD, interval_s=10)
    assert second.run() == "done"
    assert (second.entered, second.left) == ([25, 100], [5, 25])
    third = Walk(tmp_path, interval_s=10)
    assert (third.run(), third.entered) == ("done", [])


def test_a_prometheus_that_is_away_for_a_moment_ends_nothing(tmp_path: Path) -> None:
    assert Walk(tmp_path, None, None, GOOD, GOOD, interval_s=10).run() == "done"
    (tmp_path / "models.yaml").unlink()
    assert Walk(tmp_path, *[None] * 61, interval_s=10).run() == "cannot tell"


def test_other_versions_keep_their_share(tmp_path: Path) -> None:
    walk = Walk(tmp_path, GOOD, GOOD, interval_s=10)
    walk.weights.write({"1": 80, "3": 20})
    assert walk.run() == "done"
    assert walk.weights.read() == {"1": 0, "2": 80, "3": 20}


def test_weights_that_somebody_else_changed_are_left_to_them(tmp_path: Path) -> None:
    walked = Walk(tmp_path, GOOD, interval_s=10)
    walked.while_waiting = lambda: WeightsOf(FilePlace(walked.file), "iris").write({"1": 50, "2": 50})
    assert walked.run() == "changed"
    assert walked.weights.read() == {"1": 50, "2": 50}


def test_a_file_that_somebody_else_wrote_meanwhile_is_not_written(tmp_path: Path) -> None:
    walked = Walk(tmp_path)
    place = FilePlace(walked.file)
    text = place.read()
    walked.file.write_text(MANIFEST + "# by hand\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="was changed by somebody else"):
        place.write(text)
    assert [path.name for path in tmp_path.iterdir()] == ["models.yaml"]
