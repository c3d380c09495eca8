"""Bring a remote artifact here: into the cache by its digest, with what lies beside it, within the operator's limits.

Place in the flow: loader (on a thread of its own) → **here** → downloading, cache; then `open_artifact` holds what came
to the policy, as it does with local files. A store that is away costs only this thread's time, and nothing at all where
the cache has what is wanted.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import BoundedSemaphore, Event
from time import monotonic
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from model_manager.errors import LoadFailed, StoreFailed
from model_manager.repository.artifact import Fetched, check_declared
from model_manager.repository.cache import Cache, default_folder
from model_manager.repository.downloading import ATTEMPTS, Download, no_longer_wanted, repeatedly
from model_manager.repository.location import scheme_of, without_credentials
from model_manager.repository.packages import declared_sha256, metadata_path
from model_manager.repository.policy import Policy
from model_manager.repository.regular_files import Limit
from model_manager.repository.remote_places import Places
from model_manager.repository.signatures import Trust
from model_manager.repository.signed_files import check_signed_pair, signature_path
from model_manager.repository.store import Store
from model_manager.repository.stores import open_store
from model_manager.repository.wanted import WantedState, WantedVersion
from model_manager.settings import Settings

_AT_ONCE: Final = 4  # from one store: versions that are elsewhere never wait for it
_KNOWN_PATIENCE_S: Final = 5.0  # where an older answer would do
_LOOK_S: Final = 0.1


class RemoteArtifacts:
    """Fetches for one process. Its numbers are counted by the threads that fetch, and read by a scrape."""

    def __init__(self, places: Places, cache: Cache, *, timeout_s: float) -> None:
        """`timeout_s`: the longest wait for a store, and a second more for each 64 KiB that came."""
        self._places = places
        self.cache = cache
        self._timeout_s = timeout_s
        self._turns: defaultdict[str, BoundedSemaphore] = defaultdict(lambda: BoundedSemaphore(_AT_ONCE))
        self._counting = threading.Lock()
        self.fetched_bytes = 0
        self.fetch_seconds = 0.0
        self.from_cache = 0
        self.failures: Counter[str] = Counter()

    @classmethod
    def from_settings(cls, settings: Settings) -> "RemoteArtifacts":
        """From where `artifact_stores` allows, into the cache that the settings name."""
        folder = Path(settings.cache) if settings.cache else default_folder()
        cache = Cache(folder, settings.cache_mb << 20)
        return cls(Places.parse(settings.artifact_stores), cache, timeout_s=settings.fetch_timeout_s)

    def keep(self, wanted: WantedState) -> None:
        """Never remove from the cache what this state wants."""
        versions = (version for model in wanted.models.values() for version in model.versions.values())
        self.cache.wanted = frozenset(one.sha256 for one in versions if one.sha256 and is_remote(one))

    def fetch(self, wanted: WantedVersion, policy: Policy, stop: Event) -> tuple[WantedVersion, Fetched]:
        """Bring a version's artifact here, and its metadata where the manifest has none; the caller closes the file.

        Blocking, and soon over once `stop` is set. Raises LoadFailed.
        """
        try:
            return self._fetch(wanted, policy, stop)
        except (StoreFailed, LoadFailed) as error:
            if not stop.is_set():
                with self._counting:
                    self.failures[error.reason] += 1
            raise LoadFailed(error.reason, str(error)) from error
        except OSError as error:
            raise self.cache.unusable(error) from error

    def _fetch(self, wanted: WantedVersion, policy: Policy, stop: Event) -> tuple[WantedVersion, Fetched]:
        uri, digest, place = wanted.location, wanted.sha256, without_credentials(wanted.location)
        if not self._places.allow(uri):
            allowed = ", ".join(self._places.prefixes) or "none"
            message = f"{place} is not below a place that the operator allows (--artifact-stores {allowed})"
            raise LoadFailed("not_allowed", message)
        check_declared(wanted, policy, place)
        if digest is None:  # the manifest asks for it
            raise LoadFailed("digest_missing", f"{place}: a remote artifact needs a sha256")
        with self.cache.holding(digest, stop):
            file = self.cache.find(digest)
            if file is None:
                file = self._download(uri, digest, policy.artifact_limit, stop)
            else:
                with self._counting:
                    self.from_cache += 1
        try:
            if wanted.metadata is None:
                wanted = replace(wanted, metadata=self._metadata(uri, digest, stop))
            trust = policy.trust
            signature = None if trust is None else self._signature(uri, digest, wanted.metadata, trust, stop)
        except BaseException:
            file.close()
            raise
        return wanted, Fetched(file, signature)

    def _download(self, uri: str, digest: str, limit: Limit, stop: Event) -> BinaryIO:
        shown = without_credentials(uri)
        download = Download(
            open=lambda: self._open(uri, self._timeout_s),
            shown=shown,
            limit=limit,
            timeout_s=self._timeout_s,
            stop=stop,
            announced=lambda bytes: self.cache.make_room(bytes, digest),
            came=self._count_bytes,
        )
        with self.cache.partial(digest) as partial:
            with self._turn(uri, stop):
                started = monotonic()
                try:
                    download.into(partial)
                finally:
                    with self._counting:
                        self.fetch_seconds += monotonic() - started
            if not self.cache.finish(digest, partial):
                message = f"{shown}: sha256 {digest[:12]}… was declared, and what came has another"
                raise LoadFailed("digest_mismatch", f"{message}; publish that file, or declare this one's digest")
        file = self.cache.find(digest)
        if file is None:
            raise LoadFailed("cache_unusable", f"{shown}: what was fetched is no longer in the cache")
        return file

    def _metadata(self, uri: str, digest: str, stop: Event) -> bytes | None:
        metadata = self._beside(uri, metadata_path, digest, stop)
        declared = declared_sha256(metadata)
        if declared is not None and declared != digest:
            place = without_credentials(metadata_path(uri))
            message = f"{place} is of an artifact with the sha256 {declared[:12]}…, not of {digest[:12]}…"
            raise LoadFailed("digest_mismatch", f"{message}: publish both again")
        return metadata

    def _signature(self, uri: str, digest: str, metadata: bytes | None, trust: Trust, stop: Event) -> bytes | None:
        """The signature; another one than is known where that does not hold, as after a change of keys."""
        signature = self._beside(uri, signature_path, digest, stop)
        try:
            check_signed_pair(uri, signature, digest=digest, metadata=metadata, trust=trust)
        except LoadFailed:
            return self._beside(uri, signature_path, digest, stop, again=True)
        return signature

    def _beside(
        self, uri: str, path_of: Callable[[str], str], digest: str, stop: Event, *, again: bool = False
    ) -> bytes | None:
        """A small file beside an artifact. It is asked for once; that there is none is asked again, if one can."""
        if "?" in uri or "#" in uri:
            return None  # what signs one URL opens no other
        beside = path_of(uri)
        name = beside.rpartition("/")[2]
        known = self.cache.beside(digest, uri, name)
        if known and not again:
            return known
        timeout_s, attempts = self._timeout_s, ATTEMPTS
        if known is not None:
            timeout_s, attempts = min(timeout_s, _KNOWN_PATIENCE_S), 1

        def ask() -> bytes | None:
            store, path = self._open(beside, timeout_s)
            return store.read_small(path)

        try:
            with self._turn(uri, stop):
                content = repeatedly(ask, attempts=attempts, stop=stop)
        except StoreFailed:
            if known is None:
                raise
            return known or None
        self.cache.keep_beside(digest, uri, name, content or b"")
        return content

    def _open(self, uri: str, timeout_s: float) -> tuple[Store, str]:
        return open_store(uri, timeout_s=timeout_s, may_redirect=self._places.name_host_of)

    def _count_bytes(self, bytes: int) -> None:
        with self._counting:
            self.fetched_bytes += bytes

    @contextmanager
    def _turn(self, uri: str, stop: Event) -> Iterator[None]:
        """Ask a store together with few others."""
        parts = urlsplit(uri)
        with self._counting:
            turns = self._turns[f"{parts.scheme}://{parts.netloc}"]
        while not turns.acquire(timeout=_LOOK_S):
            if stop.is_set():
                raise no_longer_wanted()
        try:
            yield
        finally:
            turns.release()


def is_remote(wanted: WantedVersion) -> bool:
    """Whether the bytes of a version are elsewhere."""
    return scheme_of(wanted.location) not in (None, "file")
