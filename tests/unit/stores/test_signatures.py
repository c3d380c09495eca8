"""Where signatures are demanded, that of a remote artifact is fetched with it, and anew where keys have changed."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from model_manager.errors import LoadFailed
from model_manager.packaging.signing import sign_package
from model_manager.repository.artifact import open_artifact
from model_manager.repository.signatures import Trust

from tests.artifact_server import ArtifactServer
from tests.unit.stores.staging import ANYTHING, described, remote, wanted
from tests.unit.test_signing import write_key


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package, and two pairs of keys."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.joblib").write_bytes(b"an artifact")
    (folder / "metadata.json").write_bytes(b"{}")
    for name in ("old", "new"):
        write_key(tmp_path / f"{name}.pem")
    return folder


def put(store: ArtifactServer, package: Path) -> None:
    store.files.update({f"/iris/1/{path.name}": path.read_bytes() for path in package.iterdir()})


def sign(package: Path, key: Path) -> None:
    (package / "model.sig").unlink(missing_ok=True)
    sign_package(package, key=key, chain=None, password=lambda: "")


def opened(store: ArtifactServer, tmp_path: Path, key: str) -> str:
    """Fetch and open the artifact where signatures of a key are demanded; the reason why it cannot be, if so."""
    policy = replace(ANYTHING, trust=Trust(key=tmp_path / f"{key}.pub"))
    digest = hashlib.sha256(b"an artifact").hexdigest()
    version = wanted(f"{store.url}/iris/1/model.joblib", digest, None)
    try:
        version, fetched = described(remote(tmp_path), version, policy)
        with open_artifact(version, policy, fetched) as file:
            assert file.read() == b"an artifact"
    except LoadFailed as error:
        return error.reason
    return ""


def test_a_signature_comes_with_the_artifact(store: ArtifactServer, package: Path, tmp_path: Path) -> None:
    put(store, package)
    assert opened(store, tmp_path, "old") == "unsigned"
    sign(package, tmp_path / "old.pem")
    put(store, package)
    assert opened(store, tmp_path, "old") == ""
    store.fault = lambda request: True
    assert opened(store, tmp_path, "old") == ""


def test_after_a_change_of_keys_it_is_asked_for_again(store: ArtifactServer, package: Path, tmp_path: Path) -> None:
    sign(package, tmp_path / "old.pem")
    put(store, package)
    assert opened(store, tmp_path, "old") == ""
    assert opened(store, tmp_path, "new") == "bad_signature"
    sign(package, tmp_path / "new.pem")
    put(store, package)
    assert opened(store, tmp_path, "new") == ""


def test_other_metadata_than_was_signed_is_refused(store: ArtifactServer, package: Path, tmp_path: Path) -> None:
    sign(package, tmp_path / "old.pem")
    put(store, package)
    store.files["/iris/1/metadata.json"] = b'{"python": "3.11"}'
    assert opened(store, tmp_path, "old") == "bad_signature"
    del store.files["/iris/1/metadata.json"]
    assert opened(store, tmp_path, "old") == "bad_signature"
