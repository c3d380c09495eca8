"""The modules that an artifact imports → the libraries to install for it: those there are, and those that are missing.

In the flow: `package` asks before it reads an artifact, and writes the libraries down for those who will serve it.
"""

import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from model_manager.errors import PackageRefused
from model_manager.repository.metadata import Library

_CALLED_OTHERWISE: Final = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sksurv": "scikit-survival",
}
"""Modules whose library is called by another name, where it is not installed and so cannot be asked."""
_NO_LIBRARY: Final = frozenset({"__builtin__", "__main__", "copy_reg", "model_manager", *sys.stdlib_module_names})


def libraries_of(modules: Iterable[str]) -> list[Library]:
    """Name the libraries that bring modules, with their versions here, in alphabetical order."""
    brought: dict[str, set[str]] = {}
    for module in _tops(modules):
        brought.setdefault(_library(module) or module, set()).add(module)
    return [
        Library(name=name, version=_version(name), modules=sorted(brought[name]))
        for name in sorted(brought, key=str.lower)
    ]


def refuse_missing(modules: Iterable[str], beside: Path | None = None) -> None:
    """Raise PackageRefused for modules that cannot be imported here, with the line that installs them.

    `beside`: where the artifact lies; a module of the author's own may lie there too.
    """
    missing = [module for module in _tops(modules) if not _is_here(module)]
    if not missing:
        return
    told = f"the artifact needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed here"
    own = [(module, folder) for module in missing if (folder := _folder_of(module, beside)) is not None]
    if own:
        module, folder = own[0]
        advice = f"{module} lies in {folder}: set PYTHONPATH={folder}, here and where the model is to be served"
        raise PackageRefused(f"{told}; {advice}")
    names = " ".join(_CALLED_OTHERWISE.get(module, module) for module in missing)
    raise PackageRefused(f"{told}: pip install {names}")


def _tops(modules: Iterable[str]) -> list[str]:
    return sorted({module.partition(".")[0] for module in modules} - _NO_LIBRARY)


def _is_here(module: str) -> bool:
    try:
        return module in sys.modules or find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _folder_of(module: str, beside: Path | None) -> Path | None:
    """The folder in which a module of the author's own lies, among the likely ones."""
    likely = [Path.cwd()] if beside is None else [Path.cwd(), beside]
    for folder in likely:
        if (folder / f"{module}.py").is_file() or (folder / module / "__init__.py").is_file():
            return folder.resolve()
    return None


@cache
def _brought_by() -> dict[str, list[str]]:
    return {module: sorted(set(names)) for module, names in metadata.packages_distributions().items()}


def _library(module: str) -> str | None:
    """The library that brings a module; of several the first, as for the parts of a namespace."""
    return next(iter(_brought_by().get(module, ())), None)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
