"""Where an artifact is kept → the store that is asked for it: S3, Google's, Azure's through obstore, or an HTTP server.

Place in the flow: fetching and publishing open stores here. Only this file knows obstore, which is in the extra
`remote`. It finds credentials by itself, in the environment and from the cloud's own identity of the pod; none passes
through here.
"""

import re
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from model_manager.errors import StoreFailed
from model_manager.repository.http_store import HttpStore
from model_manager.repository.location import scheme_of, without_credentials
from model_manager.repository.store import MOST_OF_SMALL, Incoming, Store
from model_manager.version import pip_install

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

OBJECT_STORES: Final = ("s3", "gs", "az")
SCHEMES: Final = (*OBJECT_STORES, "https", "http")
_IDENTITY: Final = ("//169.254.169.254/", "//169.254.170.2/", "//[fd00:ec2::254]/")
"""Where machines of the clouds are told who they are."""
_RANGE: Final = 8 * 2**20
"""Read in one request: a store that drips has so long for this much, and no longer."""


def open_store(
    uri: str, *, timeout_s: float, may_redirect: Callable[[str], bool] = lambda url: False
) -> tuple[Store, str]:
    """Give the store of a URI, and the path in it. `timeout_s` bounds each question.

    Raises StoreFailed "unsupported_scheme" for another scheme, or without the library; "unreachable" for a URI that
    names no store.
    """
    scheme = scheme_of(uri) or ""
    if scheme in ("https", "http"):
        return HttpStore(uri, timeout_s=timeout_s, may_redirect=may_redirect), ""
    shown = without_credentials(uri)
    if scheme not in OBJECT_STORES:
        known = ", ".join(SCHEMES)
        raise StoreFailed("unsupported_scheme", f"{shown}: cannot reach {scheme}:// (known: {known})")
    parts = urlsplit(uri)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        message = f"{shown} must be {scheme}://BUCKET/PATH and no more; credentials belong into the environment"
        raise StoreFailed("unreachable", message)
    return ObstoreStore(scheme, parts.netloc, timeout_s), parts.path.strip("/")


class ObstoreStore:
    """A bucket, or a container of Azure's."""

    def __init__(self, scheme: str, bucket: str, timeout_s: float) -> None:
        self._name = f"{scheme}://{bucket}"
        try:
            import obstore
            from obstore.exceptions import BaseError
        except ImportError:
            message = f"{self._name}: object stores need obstore: {pip_install('remote')}"
            raise StoreFailed("unsupported_scheme", message) from None
        self._obstore = obstore
        self._errors: tuple[type[Exception], ...] = (BaseError, OSError, ValueError, NotImplementedError)
        try:
            self._store = _bucket(scheme, bucket, timeout_s)
        except self._errors as error:
            raise self._failure("", error) from None

    def read(self, path: str, start: int = 0) -> Incoming:
        """See Store."""
        try:
            found = self._obstore.head(self._store, path)
        except self._errors as error:
            raise self._failure(path, error) from None
        total, tag = found["size"], found["e_tag"]
        return Incoming(total, min(start, total), self._ranges(path, min(start, total), total, tag))

    def _ranges(self, path: str, start: int, total: int, tag: str | None) -> Generator[bytes]:
        while start < total:
            try:
                wanted: Any = {"range": (start, min(start + _RANGE, total)), "if_match": tag}
                content = bytes(self._obstore.get(self._store, path, options=wanted).bytes())
            except self._errors as error:
                raise self._failure(path, error) from None
            if not content:
                raise StoreFailed("unreachable", f"{self._name}/{path} ended after {start:,} bytes", again=True)
            yield content
            start += len(content)

    def read_small(self, path: str) -> bytes | None:
        """See Store."""
        try:
            found = self._obstore.get(self._store, path)
            if found.meta["size"] > MOST_OF_SMALL:
                raise StoreFailed("too_large", f"{self._name}/{path} has more than {MOST_OF_SMALL:,} bytes")
            return bytes(found.bytes())
        except FileNotFoundError:
            return None
        except self._errors as error:
            raise self._failure(path, error) from None

    def size(self, path: str) -> int | None:
        """See Store."""
        try:
            return self._obstore.head(self._store, path)["size"]
        except FileNotFoundError:
            return None
        except self._errors as error:
            raise self._failure(path, error) from None

    def create(self, path: str, content: bytes) -> bool:
        """See Store."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            self._obstore.put(self._store, path, content, mode="create")
        except (AlreadyExistsError, PreconditionError):
            return False
        except self._errors as error:
            raise self._failure(path, error) from None
        return True

    def upload(self, path: str, file: Path, told: Callable[[int], None]) -> None:
        """See Store: in parts where it is large; a rule of the bucket removes those of an upload that broke off."""

        def parts() -> Iterator[bytes]:
            with open(file, "rb") as opened:
                while part := opened.read(_RANGE):
                    yield part
                    told(len(part))

        try:
            if file.stat().st_size <= _RANGE:
                self._obstore.put(self._store, path, file.read_bytes())
                told(file.stat().st_size)
            else:
                self._obstore.put(self._store, path, parts(), chunk_size=_RANGE, max_concurrency=4)
        except FileNotFoundError:
            raise StoreFailed("missing", f"{self._name}: there is no such bucket") from None
        except self._errors as error:
            raise self._failure(path, error) from None

    @property
    def copies(self) -> bool:
        """See Store."""
        return True

    def copy(self, source: str, target: str) -> None:
        """See Store."""
        try:
            self._obstore.copy(self._store, source, target)
        except self._errors as error:
            raise self._failure(source, error) from None

    def _failure(self, path: str, error: Exception) -> StoreFailed:
        """What obstore raised, in one line: behind the first one stands how its library sees it."""
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        place = f"{self._name}/{path}".rstrip("/")
        if isinstance(error, FileNotFoundError):
            return StoreFailed("missing", f"{place}: there is no such object")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return StoreFailed("store_refused", f"{place}: the store refuses: check the credentials in the environment")
        if any(address in str(error) for address in _IDENTITY):
            message = f"{place}: there are no credentials in the environment, and this machine has none from its cloud"
            return StoreFailed("store_refused", message, again=True)
        return StoreFailed("unreachable", f"{place}: {_said(error)}", again=True)


def _said(error: Exception) -> str:
    """What obstore says, without how often it tried, and with what the operating system said of it."""
    first, _, details = str(error).partition("\n")
    causes = re.findall(r'message: "([^"]{1,100})"', details) or (["timed out"] if "TimedOut" in details else [])
    cause = f" ({causes[-1]})" if causes else ""
    return without_credentials(re.sub(r" in [0-9.]+\S?s(, after .*?)? +- ", ": ", first[:400])) + cause


def _bucket(scheme: str, bucket: str, timeout_s: float) -> "ObjectStore":
    from obstore.store import AzureStore, GCSStore, S3Store

    limit = timedelta(seconds=timeout_s)
    # Plain HTTP is spoken where the operator's own variables name such an endpoint, and nowhere else.
    client: ClientConfig = {"timeout": limit, "connect_timeout": min(limit, timedelta(seconds=5)), "allow_http": True}
    # Whoever asks tries again as well: here only what a moment later is over.
    retry: RetryConfig = {"max_retries": 2, "retry_timeout": limit}
    match scheme:
        case "s3":
            return S3Store(bucket, client_options=client, retry_config=retry)
        case "gs":
            return GCSStore(bucket, client_options=client, retry_config=retry)
    return AzureStore(bucket, client_options=client, retry_config=retry)
