"""Which URIs may be fetched, as the operator says it; asked before anything is fetched, and of every redirect."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from model_manager.errors import StartRefused
from model_manager.repository.location import scheme_of
from model_manager.repository.stores import SCHEMES


@dataclass(frozen=True, slots=True)
class Places:
    """The beginnings of the URIs that may be fetched: `s3://models/`, or a scheme alone."""

    prefixes: tuple[str, ...]

    @staticmethod
    def parse(text: str) -> "Places":
        """Read them as the setting has them. Raises StartRefused for what is no such beginning."""
        prefixes = tuple(part for each in text.split(",") if (part := each.strip()))
        for prefix in prefixes:
            if scheme_of(prefix) not in SCHEMES or "?" in prefix or "@" in prefix:
                known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
                raise StartRefused(f"--artifact-stores {prefix}: give beginnings of URIs ({known})")
        return Places(prefixes)

    def allow(self, uri: str) -> bool:
        """Whether a URI begins with one of them, by whole parts of its path."""
        try:
            return not _climbs(uri) and any(_begins(uri, prefix) for prefix in self.prefixes)
        except ValueError:  # no URI
            return False

    def name_host_of(self, uri: str) -> bool:
        """Whether a URI begins with one of them that names a host: where a redirect may lead."""
        return Places(tuple(prefix for prefix in self.prefixes if urlsplit(prefix).netloc)).allow(uri)


def _begins(uri: str, prefix: str) -> bool:
    given, allowed = urlsplit(uri), urlsplit(prefix)
    if given.scheme != allowed.scheme:
        return False
    if not allowed.netloc:
        return True
    if given.netloc.rpartition("@")[2].lower() != allowed.netloc.lower():
        return False
    folder = allowed.path.rstrip("/")
    return given.path == folder or given.path.startswith(f"{folder}/")


def _climbs(uri: str) -> bool:
    """Whether a path says one thing and may mean another: by dots, however they are written, or by a backslash."""
    path = unquote(unquote(urlsplit(uri).path))
    return "\\" in path or any(part in (".", "..") for part in path.split("/"))
