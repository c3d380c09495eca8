"""The test tool itself: a volume that did not behave as the kubelet's would prove nothing."""

import os
import re
from pathlib import Path

import pytest

from tools.kubelet import ConfigMapVolume, Step


def top_level(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith("..")}


def generations(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("..") and path.name != "..data"]


def test_files_are_reached_through_two_links(tmp_path: Path) -> None:
    volume = ConfigMapVolume(tmp_path / "models")
    assert volume.current is None
    assert volume.write({"models.yaml": b"models: {}"})
    link = volume.folder / "models.yaml"
    assert os.readlink(link) == "..data/models.yaml"
    assert link.read_bytes() == b"models: {}"
    assert re.fullmatch(r"\.\.\d{4}(_\d\d){5}\.\d+", os.readlink(volume.folder / "..data"))
    assert link.stat().st_mode & 0o777 == 0o644


def test_equal_content_writes_nothing(tmp_path: Path) -> None:
    volume = ConfigMapVolume(tmp_path)
    volume.write({"a": b"1", "iris/1/model.joblib": b"2"})
    before = volume.current
    assert not volume.write({"iris/1/model.joblib": b"2", "a": b"1"})
    assert volume.current == before


def test_changed_content_is_a_new_folder_and_the_old_one_is_deleted(tmp_path: Path) -> None:
    volume = ConfigMapVolume(tmp_path)
    volume.write({"a": b"1", "b": b"1"})
    before = volume.current
    assert volume.write({"a": b"2", "c": b"2"})
    assert volume.current is not None
    assert before is not None
    assert not before.exists()
    assert generations(tmp_path) == [volume.current.name]
    assert top_level(tmp_path) == {"a", "c"}


@pytest.mark.parametrize(
    ("links_before_swap", "expected"),
    [
        (False, ["written", "swapped", "linked", "unlinked", "deleted"]),
        (True, ["written", "linked", "swapped", "unlinked", "deleted"]),
    ],
)
def test_links_change_after_the_swap_or_with_older_kubelets_before_it(
    tmp_path: Path, links_before_swap: bool, expected: list[Step]
) -> None:
    volume = ConfigMapVolume(tmp_path, links_before_swap=links_before_swap)
    volume.write({"a": b"1"})
    steps: list[Step] = []
    dangling: list[bool] = []

    def look(step: Step) -> None:
        steps.append(step)
        dangling.append((tmp_path / "b").is_symlink() and not (tmp_path / "b").exists())

    volume.write({"b": b"2"}, at_step=look)
    assert steps == expected
    assert any(dangling) == links_before_swap


@pytest.mark.parametrize("key", ["../a", "/a", "..a", "a//b", "a/../b", ""])
def test_keys_no_configmap_can_hold_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="ConfigMap"):
        ConfigMapVolume(tmp_path).write({key: b""})
