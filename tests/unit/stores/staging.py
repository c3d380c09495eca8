"""What tests of stores share: a version that is wanted from somewhere, and how it is fetched."""

import hashlib
from pathlib import Path
from threading import Event

from model_manager.errors import LoadFailed
from model_manager.repository.artifact import Fetched
from model_manager.repository.cache import Cache
from model_manager.repository.policy import Policy
from model_manager.repository.regular_files import Files, Limit
from model_manager.repository.remote_artifacts import RemoteArtifacts
from model_manager.repository.remote_places import Places
from model_manager.repository.wanted import Batching, ServableId, WantedVersion

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(CONTENT).hexdigest()
ANYTHING = Policy(Files("/"), artifact_limit=Limit(4 << 20, "raise it"))
ANYWHERE = "s3://,gs://,az://,https://,http://"


def wanted(uri: str, sha256: str = SHA, metadata: bytes | None = b"{}") -> WantedVersion:
    """A version at a URI; without metadata it is looked for beside the artifact."""
    return WantedVersion(ServableId("iris", "1"), uri, sha256, sha256, metadata, Batching(), None)


def remote(
    folder: Path, places: str = ANYWHERE, *, timeout_s: float = 30, limit_bytes: int = 1 << 30
) -> RemoteArtifacts:
    """What fetches, into a cache below a folder."""
    return RemoteArtifacts(Places.parse(places), Cache(folder / "cache", limit_bytes), timeout_s=timeout_s)


def fetch(remote: RemoteArtifacts, version: WantedVersion, policy: Policy = ANYTHING) -> bytes:
    """The bytes that come."""
    _, fetched = described(remote, version, policy)
    with fetched.file:
        return fetched.file.read()


def described(
    remote: RemoteArtifacts, version: WantedVersion, policy: Policy = ANYTHING
) -> tuple[WantedVersion, Fetched]:
    """What comes, with its metadata."""
    return remote.fetch(version, policy, Event())


def refusal(remote: RemoteArtifacts, version: WantedVersion, policy: Policy = ANYTHING) -> LoadFailed:
    """Why nothing comes."""
    try:
        described(remote, version, policy)[1].file.close()
    except LoadFailed as error:
        return error
    raise AssertionError("it came")


def kept(folder: Path) -> set[str]:
    """The names of the files in the cache."""
    return {path.name for path in (folder / "cache").iterdir() if path.is_file()}
