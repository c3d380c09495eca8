"""model-manager: an online inference server for scikit-learn models that converges to a mounted folder.

What is named here is for users of the library; everything else is private to the project.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from model_manager.version import __version__

if TYPE_CHECKING:
    from model_manager.errors import PackageRefused
    from model_manager.evaluation.evaluating import evaluate
    from model_manager.evaluation.loaded import load
    from model_manager.packaging.package import describe_data, write_package
    from model_manager.packaging.packing import pack
    from model_manager.repository.metadata import DataInfo, Evaluation

__all__ = [
    "DataInfo",
    "Evaluation",
    "PackageRefused",
    "__version__",
    "describe_data",
    "evaluate",
    "load",
    "pack",
    "write_package",
]

_ROOMS: Final = {
    "DataInfo": "model_manager.repository.metadata",
    "Evaluation": "model_manager.repository.metadata",
    "PackageRefused": "model_manager.errors",
    "describe_data": "model_manager.packaging.package",
    "evaluate": "model_manager.evaluation.evaluating",
    "load": "model_manager.evaluation.loaded",
    "pack": "model_manager.packaging.packing",
    "write_package": "model_manager.packaging.package",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: a command that needs no scikit-learn shall not wait for it."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return __all__
