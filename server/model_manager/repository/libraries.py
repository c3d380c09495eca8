"""What a package says of the libraries that its artifact imports, held against those that are installed here.

In the flow: asked when a version cannot be loaded or answers otherwise than its author saw: its libraries may be why.
"""

from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec

from model_manager.repository.metadata import Library


def library_differences(libraries: Sequence[Library]) -> str:
    """Say which libraries are missing here or of another version, and the line that installs them; "" if none is."""
    told: list[str] = []
    install: list[str] = []
    for library in libraries:
        missing = [module for module in library.modules if not _is_here(module)]
        here = _version(library.name)
        if library.version is None:
            if missing:
                told.append(f"module {missing[0]} is not here, which no library brings: add it to the server's image")
        elif missing or (here is not None and here != library.version):
            told.append(f"packed with {library.name} {library.version}, {'not installed' if missing else here} here")
            install.append(f"'{library.name}=={library.version}'")
    return "; ".join(told) + (f": pip install {' '.join(install)}" if install else "")


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
