"""Parts of an estimator that would take a client's rows for names of files, or for code: found when it is loaded.

A pickle is code that its author is trusted with; rows come from anybody. Known are the ways of scikit-learn itself and
functions of the libraries below. What a function of the author's own does with its rows cannot be judged.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer

from model_manager.errors import LoadFailed

_FILE_INPUTS: Final = ("filename", "file")
_MODULES: Final = (
    *("_io", "_pickle", "_posixsubprocess", "_socket", "cloudpickle", "ctypes", "dill", "ftplib", "genericpath"),
    *("glob", "http.client", "importlib", "io", "joblib", "marshal", "nt", "os", "pathlib", "pickle", "posix", "pty"),
    *("requests", "runpy", "shelve"),
    *("shutil", "smtplib", "socket", "subprocess", "tempfile", "urllib.request", "webbrowser"),
)
"""Modules whose functions open, run or fetch what they are given the name of."""
_FUNCTIONS: Final[Mapping[str, frozenset[str]]] = {
    "builtins": frozenset({"open", "eval", "exec", "compile", "__import__", "getattr", "setattr", "delattr"}),
    "codecs": frozenset({"open"}),
    "posixpath": frozenset({"expanduser", "expandvars", "ismount", "lexists", "realpath"}),
    "numpy": frozenset({"load", "loadtxt", "genfromtxt", "fromfile", "fromregex", "memmap", "DataSource"}),
    "pandas": frozenset({"eval", "query", "HDFStore", "ExcelFile"}),
    "sklearn": frozenset({"load_files", "load_svmlight_file", "load_svmlight_files"}),
    "scipy": frozenset({"loadmat", "load_npz", "mmread", "netcdf_file", "readsav"}),
}
_STARTS: Final[Mapping[str, tuple[str, ...]]] = {"pandas": ("read_",), "sklearn": ("fetch_",)}


def refuse_unsafe(parts: Iterable[Any]) -> None:
    """Look at every part of an estimator, each an object with parameters.

    Raises LoadFailed("unsafe") naming part and parameter.
    """
    for part in parts:
        kind = type(part).__name__
        if isinstance(part, CountVectorizer | HashingVectorizer) and part.input in _FILE_INPUTS:
            message = f"{kind}(input={part.input!r}) opens files of the server by the names that rows hold"
            raise LoadFailed("unsafe", f'{message}; fit it with input="content", on the texts themselves')
        for name, value in vars(part).items():
            if callable(value) and (function := _unsafe_function(value)) is not None:
                message = f"{kind}({name}={function}) is called with what rows hold"
                raise LoadFailed("unsafe", f"{message}: a client could read or change the server; use another function")


def _unsafe_function(value: Callable[..., Any]) -> str | None:
    """The full name of the first function in a callable that opens, runs or fetches; None where there is none."""
    if isinstance(value, functools.partial):
        called = (value.func, *value.args, *value.keywords.values())
        return next((name for one in called if callable(one) and (name := _unsafe_function(one))), None)
    if isinstance(value, np.vectorize):
        return _unsafe_function(value.pyfunc)
    module = str(getattr(value, "__module__", None) or "")
    name = str(getattr(value, "__name__", ""))
    root = module.partition(".")[0]
    within = any(module == one or module.startswith(f"{one}.") for one in _MODULES)
    unsafe = within or name in _FUNCTIONS.get(root, ()) or name.startswith(_STARTS.get(root, ("\0",)))
    return f"{module}.{name}" if unsafe else None
