"""Where an artifact is: a path inside the models folder, an absolute path, or a URI. The words of `artifact:`."""

import posixpath
import re
from urllib.parse import unquote

from model_manager.errors import without_secrets

_KEPT_QUERY = frozenset({"generation", "ref", "revision", "rev", "snapshot", "version", "versionId"})
"""Of a query only what says which data were meant is shown: names of credentials are too many to be listed."""
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme_of(location: str) -> str | None:
    """Name the scheme of a URI in lower case; None for a path."""
    match = _URI.match(location)
    return match[1].lower() if match else None


def local_path(artifact: str) -> str | None:
    """Give the path an `artifact:` means, absolute or relative to the manifest; None when it is at a remote URI.

    Raises ValueError with what is wrong and what to write instead.
    """
    scheme = scheme_of(artifact)
    if scheme is not None and scheme != "file":
        return None
    path = _path_of_file_uri(artifact) if scheme == "file" else artifact
    if not path or path.endswith("/"):
        raise ValueError("names no file")
    if "\0" in path:
        raise ValueError("holds a NUL character, which no path can")
    if path.lower().startswith("file:"):
        raise ValueError("a file URI starts with file:/// (three slashes)")
    if not path.startswith("/") and ".." in path.split("/"):
        raise ValueError("leaves the models folder with '..': give an absolute path instead")
    return posixpath.normpath(path)


def without_credentials(uri: str) -> str:
    """Give a URI as it may be shown: without user, password and whatever a query or fragment may sign it with.

    What was left out of a query or a fragment is marked by "…". A path comes back as it is, and a list of settings
    (`Server=…;Password=…`) without those that are secret.
    """
    if "//" not in uri:
        return without_secrets(uri, of_list=True) if ";" in uri else uri
    # First of all, since a password may hold any character, however wrong that is in a URI.
    rest, hash_sign, _ = without_secrets(uri, of_list=";" in uri).partition("#")
    shown, question_mark, query = rest.partition("?")
    if question_mark:
        pairs = [pair for pair in query.split("&") if pair]
        kept = [pair for pair in pairs if pair.partition("=")[0] in _KEPT_QUERY]
        shown += "?" + "&".join([*kept, *(["…"] if len(kept) < len(pairs) else [])])
    return shown + ("#…" if hash_sign else "")


def _path_of_file_uri(uri: str) -> str:
    host, slash, path = uri[len("file://") :].partition("/")
    if host or not slash:
        raise ValueError("a file URI has no host: write file:///absolute/path (three slashes)")
    return unquote(slash + path, errors="strict")
