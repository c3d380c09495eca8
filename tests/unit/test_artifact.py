"""No byte of an artifact is handed out before its digest is the right one."""

import hashlib
import io
import os
from pathlib import Path

import pytest
from model_manager.errors import LoadFailed
from model_manager.repository.artifact import Fetched, open_artifact
from model_manager.repository.policy import Policy
from model_manager.repository.regular_files import Files
from model_manager.repository.wanted import Batching, ServableId, WantedVersion

CONTENT = b"a pickled estimator"
SHA = hashlib.sha256(CONTENT).hexdigest()
OTHER = "f" * 64
ANYWHERE = Policy(Files("/"))


def wanted(location: object, *, sha256: str | None = None, digest: str | None = SHA) -> WantedVersion:
    return WantedVersion(ServableId("iris", "1"), str(location), sha256, digest, None, Batching(), None)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.joblib"
    path.write_bytes(CONTENT)
    return path


def refusal(version: WantedVersion) -> LoadFailed:
    with pytest.raises(LoadFailed) as caught:
        open_artifact(version, ANYWHERE)
    return caught.value


@pytest.mark.parametrize("sha256", [None, SHA])
def test_the_right_file_is_handed_out_from_its_first_byte(artifact: Path, sha256: str | None) -> None:
    with open_artifact(wanted(artifact, sha256=sha256), ANYWHERE) as file:
        assert file.read() == CONTENT


def test_bytes_other_than_declared_are_refused_with_both_digests_and_a_cure(artifact: Path) -> None:
    error = refusal(wanted(artifact, sha256=OTHER))
    assert error.reason == "digest_mismatch"
    assert f"sha256 {OTHER[:12]}… was declared, the file has {SHA[:12]}…" in str(error)
    assert "publish the file that was declared" in str(error)


@pytest.mark.parametrize("digest", [OTHER, None])
def test_bytes_that_changed_since_the_folder_was_read_are_refused(artifact: Path, digest: str | None) -> None:
    error = refusal(wanted(artifact, digest=digest))
    assert error.reason == "digest_mismatch"
    assert "changed while being read, will be read again" in str(error)


def test_a_refused_file_is_closed(artifact: Path) -> None:
    file = artifact.open("rb")
    with pytest.raises(LoadFailed):
        open_artifact(wanted(artifact, sha256=OTHER), ANYWHERE, Fetched(file))
    assert file.closed


def test_a_file_that_is_replaced_after_it_was_opened_is_read_as_it_was(artifact: Path) -> None:
    with open_artifact(wanted(artifact), ANYWHERE) as file:
        (artifact.parent / "new").write_bytes(b"something else")
        (artifact.parent / "new").replace(artifact)
        assert file.read() == CONTENT


def test_no_file_is_missing(artifact: Path) -> None:
    assert refusal(wanted(artifact.parent / "nothing")).reason == "missing"
    assert refusal(wanted(artifact / "below-a-file")).reason == "missing"


def test_what_is_no_file_is_unreadable_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path, "a folder"), (tmp_path / "pipe", "a named pipe")):
        error = refusal(wanted(path))
        assert (error.reason, str(error)) == ("unreadable", f"{path} is {kind}, not a file")


def test_what_the_operating_system_refuses_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    error = refusal(wanted(tmp_path / "loop"))
    assert error.reason == "unreadable"
    assert "cannot be read: Too many levels of symbolic links" in str(error)


def test_what_is_elsewhere_and_was_not_fetched_cannot_be_opened() -> None:
    error = refusal(wanted("s3://models/iris.joblib"))
    assert error.reason == "unsupported_scheme"
    assert str(error) == "s3://models/iris.joblib: cannot fetch s3://"


def test_what_was_fetched_is_checked_alike() -> None:
    fetched = Fetched(io.BytesIO(CONTENT))
    with open_artifact(wanted("s3://models/iris.joblib", sha256=SHA), ANYWHERE, fetched) as file:
        assert file.read() == CONTENT
    other = wanted("s3://models/iris.joblib", sha256=OTHER, digest=OTHER)
    with pytest.raises(LoadFailed, match="was declared"):
        open_artifact(other, ANYWHERE, Fetched(io.BytesIO(CONTENT)))


def test_trouble_without_a_system_message_is_told_in_its_own_words() -> None:
    class Torn(io.BytesIO):
        def getbuffer(self) -> memoryview:
            raise OSError("the disk is torn")

    with pytest.raises(LoadFailed, match="cannot be read: the disk is torn") as caught:
        open_artifact(wanted("s3://models/iris.joblib"), ANYWHERE, Fetched(Torn(CONTENT)))
    assert caught.value.reason == "unreadable"


def test_credentials_in_a_location_are_not_told() -> None:
    error = refusal(wanted("s3://key:hunter2@models/iris.joblib?X-Amz-Signature=c0ffee"))
    assert str(error) == "s3://models/iris.joblib?…: cannot fetch s3://"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["metadata.json"], "there is no such file; check `artifact`, or copy it there"),
        (["a.joblib", "b.pkl"], "found a.joblib, b.pkl: check `artifact`, or name the right one model.joblib"),
        (["model.dill"], "found model.dill: write the model with joblib.dump, as model.joblib"),
        (["model.skops"], "found model.skops: check `artifact`, or name the right one model.joblib"),
        ([f"{n}.pkl" for n in range(7)], "found 0.pkl, 1.pkl, 2.pkl, 3.pkl, 4.pkl and 2 more: check"),
    ],
)
def test_what_lies_there_instead_is_named(tmp_path: Path, names: list[str], told: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    error = refusal(wanted(tmp_path / "model.joblib"))
    assert error.reason == "missing"
    assert told in str(error)
