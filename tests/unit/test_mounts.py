"""A mount that will never change is recognised from what the kernel says of it."""

from pathlib import Path

import pytest
from model_manager.repository.mounts import subpath_warning

POD = "/var/lib/kubelet/pods/d166411c/volumes"
GENERATION = f"{POD}/kubernetes.io~configmap/models/..2026_11_02_10_00_00.123"


def mount(root: str, point: Path) -> str:
    escaped = str(point).replace(" ", "\\040")
    ours = f"523 47 253:16 {root} {escaped} ro,noatime shared:29 - xfs /dev/vdb rw"
    return f"22 1 8:1 / / rw - ext4 /dev/sda rw\n\n{ours}\n"


@pytest.mark.parametrize(
    "root",
    [
        f"{GENERATION}/models.yaml",
        f"{GENERATION}/models.yaml//deleted",
        "/..2026_11_02_10_00_00.123/models.yaml",
        "/var/lib/kubelet/pods/d166411c/volume-subpaths/models/server/0",
    ],
)
def test_a_key_mounted_alone_is_warned_of(tmp_path: Path, root: str) -> None:
    warning = subpath_warning(tmp_path, mount(root, tmp_path / "models.yaml"))
    assert warning is not None
    assert f"{tmp_path / 'models.yaml'} is a subPath mount" in warning
    assert "without subPath" in warning


def test_a_folder_inside_a_volume_mounted_alone_is_warned_of(tmp_path: Path) -> None:
    assert subpath_warning(tmp_path, mount(f"{GENERATION}/iris", tmp_path)) is not None


def test_the_folder_may_be_reached_by_a_link_and_have_a_space_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "the models").mkdir()
    (tmp_path / "link").symlink_to("the models")
    assert subpath_warning(tmp_path / "link", mount(GENERATION, tmp_path / "the models")) is not None


def test_a_whole_configmap_is_fine(tmp_path: Path) -> None:
    (tmp_path / "..data").symlink_to("..2026")
    assert subpath_warning(tmp_path, mount(f"{GENERATION}/models.yaml", tmp_path / "x")) is None


@pytest.mark.parametrize(
    "root", ["/", f"{POD}/kubernetes.io~csi/pvc-1/mount", f"{POD}/kubernetes.io~csi/pvc-1/mount/iris"]
)
def test_other_volumes_are_fine(tmp_path: Path, root: str) -> None:
    assert subpath_warning(tmp_path, mount(root, tmp_path)) is None


def test_a_subpath_mount_elsewhere_is_none_of_ours(tmp_path: Path) -> None:
    assert subpath_warning(tmp_path / "models", mount(GENERATION, tmp_path / "models-too")) is None


def test_what_this_machine_says_is_read_when_nothing_is_given(tmp_path: Path) -> None:
    assert subpath_warning(tmp_path) is None


def test_a_machine_that_says_nothing_gives_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **options: object) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", refuse)
    assert subpath_warning(tmp_path) is None
