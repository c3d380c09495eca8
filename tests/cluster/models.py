"""Models that are good when they are loaded and bad when they are asked, of scikit-learn alone: any image runs them."""

import io
from pathlib import Path
from typing import Any, Final

import joblib

_FAILING: Final = "1 / 0"
_SLOW: Final = "__import__('time').sleep(0.8)"
_MODEL: Final = """type("Bad", (__import__("sklearn.base").base.BaseEstimator,), {{
    "n_features_in_": 4,
    "predict": lambda self, X: (
        (X[:, 0] == 6.0).any() and {0},
        __import__("numpy").array(["versicolor"] * len(X)),
    )[1],
}})()"""


class _Text:
    """An estimator that is unpickled from its text, so that no module of the tests has to be there."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (self._text,)


def artifacts(samples: Path) -> dict[str, bytes]:
    """Versions of iris by the names of their files: two good ones, one that fails, one that is slow."""
    good = {f"iris-{version}.joblib": (samples / "iris" / version / "model.joblib").read_bytes() for version in "12"}
    return {**good, "iris-3.joblib": _doing(_FAILING), "iris-4.joblib": _doing(_SLOW)}


def _doing(what: str) -> bytes:
    """A model that does this with the row that the tests ask for."""
    written = io.BytesIO()
    joblib.dump(_Text(_MODEL.format(what)), written)
    return written.getvalue()
