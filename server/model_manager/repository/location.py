"""Where an artifact is: a path inside the models folder, an absolute path, or a URI. The words of `artifact:`."""

import posixpath
import re
from urllib.parse import unquote

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


def _path_of_file_uri(uri: str) -> str:
    host, slash, path = uri[len("file://") :].partition("/")
    if host or not slash:
        raise ValueError("a file URI has no host: write file:///absolute/path (three slashes)")
    return unquote(slash + path, errors="strict")
