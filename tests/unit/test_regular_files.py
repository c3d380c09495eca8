"""Only regular files below the roots are ever opened, whatever a path says and wherever links lead."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import LoadFailed
from model_manager.repository import regular_files
from model_manager.repository.regular_files import Files, Limit

LIMIT = Limit(1000, "make it smaller")


@pytest.fixture(params=["handles", "names"], autouse=True)
def _resolved_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test once more as on a system that has no handles."""
    if request.param == "names":
        monkeypatch.setattr(regular_files, "_HANDLE", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"secret")
    models = tmp_path / "models"
    models.mkdir()
    (models / "a").write_bytes(b"content")
    return models


def refusal(files: Files, path: object, limit: Limit = LIMIT) -> LoadFailed:
    with pytest.raises(LoadFailed) as caught:
        files.open(str(path), limit)
    return caught.value


def test_a_file_of_the_folder_is_read_and_keeps_its_name(folder: Path) -> None:
    files = Files(str(folder))
    with files.open(str(folder / "a"), LIMIT) as file:
        assert (file.read(), file.name) == (b"content", str(folder / "a"))
    assert files.read(str(folder / "a"), LIMIT) == b"content"
    assert files.stat(str(folder / "a"), LIMIT).st_size == 7


def test_links_that_stay_inside_are_followed(folder: Path) -> None:
    (folder / "..2026").mkdir()
    (folder / "..2026" / "b").write_bytes(b"new")
    (folder / "..data").symlink_to("..2026")
    (folder / "b").symlink_to("..data/b")
    assert Files(str(folder)).read(str(folder / "b"), LIMIT) == b"new"


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    current = folder.parent / "current"
    current.symlink_to("models")
    assert Files(str(current)).read(str(current / "a"), LIMIT) == b"content"


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "/proc/self/environ", "/dev/zero", "/proc/kmsg"])
def test_a_link_that_leads_out_is_refused_with_where_it_leads(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)
    error = refusal(Files(str(folder)), folder / "link")
    assert error.reason == "not_allowed"
    assert f"{folder}/link leads to /" in str(error)


def test_a_linked_folder_that_leads_out_is_refused(folder: Path) -> None:
    (folder / "link").symlink_to("..")
    assert refusal(Files(str(folder)), folder / "link" / "secret").reason == "not_allowed"
    assert Files(str(folder)).read(str(folder / "link" / "models" / "a"), LIMIT) == b"content"


@pytest.mark.parametrize("path", ["{0}/secret", "{0}/models/../secret", "{0}/models-other", "/etc/passwd", "/dev/zero"])
def test_a_path_outside_is_refused_with_the_setting_that_would_allow_it(folder: Path, path: str) -> None:
    (folder.parent / "models-other").write_bytes(b"other")
    path = path.format(folder.parent)
    error = refusal(Files(str(folder), roots=("/nowhere",)), path)
    assert error.reason == "not_allowed"
    assert str(error) == (
        f"{path} is outside of the models folder {folder} and of --artifact-roots (/nowhere): put the file below one "
        "of them, or have the operator add its folder to --artifact-roots"
    )


def test_what_lies_below_another_root_is_read(folder: Path) -> None:
    files = Files(str(folder), roots=(str(folder.parent),))
    assert files.read(str(folder.parent / "secret"), LIMIT) == b"secret"


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/environ", "/proc/self/mem", "/sys/kernel/profiling"])
def test_answers_of_the_kernel_are_refused_whatever_the_roots(path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"no {path} here")
    error = refusal(Files("/"), path)
    assert error.reason == "not_allowed"
    assert "an answer of the kernel" in str(error)


def test_what_is_no_file_is_named_and_nobody_waits_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name, kind in (("pipe", "a named pipe"), ("folder", "a folder"), ("socket", "a socket")):
            error = refusal(Files(str(folder)), folder / name)
            assert (error.reason, str(error)) == ("unreadable", f"{folder}/{name} is {kind}, not a file")
    assert "is a device, not a file" in str(refusal(Files("/"), "/dev/zero"))


def test_a_file_is_refused_by_its_size_and_not_read(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(10 * 2**30)
    error = refusal(Files(str(folder)), folder / "sparse")
    assert (error.reason, str(error)) == (
        "too_large",
        f"{folder}/sparse has 10,737,418,240 bytes or more, and at most 1,000 are read of it: make it smaller",
    )


def test_a_file_that_grows_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Growing(Files):
        def open(self, path: str, limit: Limit) -> Any:
            file = super().open(path, limit)
            with open(path, "ab") as more:
                more.write(b"x" * 2000)
            return file

    with pytest.raises(LoadFailed, match="at most 1,000 are read"):
        Growing(str(folder)).read(str(folder / "a"), LIMIT)


@pytest.mark.parametrize("name", ["nothing", "a/below", "nothing/below"])
def test_what_is_not_there_is_told_by_the_operating_system(folder: Path, name: str) -> None:
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        Files(str(folder)).open(str(folder / name), LIMIT)


def test_files_of_others_are_refused_where_the_operator_says_so(folder: Path) -> None:
    me = os.stat(folder / "a").st_uid
    assert Files(str(folder), owners=frozenset({me})).read(str(folder / "a"), LIMIT) == b"content"
    error = refusal(Files(str(folder), owners=frozenset({me + 1, 0 if me else 2})), folder / "a")
    assert error.reason == "not_allowed"
    assert f"belongs to user {me}; files may belong to" in str(error)


@pytest.mark.parametrize(("what", "mode"), [("a", 0o664), ("a", 0o646), (".", 0o777)])
def test_what_others_may_write_to_is_refused_where_the_operator_says_so(folder: Path, what: str, mode: int) -> None:
    folder.chmod(0o755)
    (folder / "a").chmod(0o644)
    files = Files(str(folder), writable=False)
    assert files.read(str(folder / "a"), LIMIT) == b"content"
    (folder / what).chmod(mode)
    error = refusal(files, folder / "a")
    assert error.reason == "not_allowed"
    assert f"(mode {mode:04o})" in str(error)


_NAMES = st.sampled_from(["a", "b", "c", ".", "..", "x"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=6).map("/".join)


@given(links=st.dictionaries(st.sampled_from(["b", "c", "x/b"]), _PATHS, max_size=3), path=_PATHS)
def test_no_path_and_no_links_ever_open_what_lies_outside(links: dict[str, str], path: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "x" / "models"
        (root / "x").mkdir(parents=True)
        inside = {root / "a", root / "x" / "a"}
        outside = {Path(place) / "a", Path(place) / "x" / "a"}
        for file in inside | outside:
            file.write_bytes(b"")
        for name, target in links.items():
            (root / name).symlink_to(target)
        allowed = {(found.st_dev, found.st_ino) for found in map(os.stat, inside)}
        try:
            opened = Files(str(root)).open(f"{root}/{path}", LIMIT)
        except (LoadFailed, OSError):
            return
        with opened:
            found = os.fstat(opened.fileno())
            assert (found.st_dev, found.st_ino) in allowed
