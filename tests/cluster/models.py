"""Models that are good when they are loaded and bad when they are asked, of scikit-learn alone: any image runs them."""

import io
from pathlib import Path
from typing import Any, Final

import joblib
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

_ASKED: Final = "(__import__('numpy').asarray(X)[:, 0] == 6.0).any()"
_FAILING: Final = f"lambda X: 1 / 0 if {_ASKED} else X"
_SLOW: Final = f"lambda X: (__import__('time').sleep(1.9 if {_ASKED} else 0), X)[1]"


class _Text:
    """A function that is unpickled from its text, so that no module of the tests has to be there."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (self._text,)


def artifacts(samples: Path) -> dict[str, bytes]:
    """Versions of iris by the names of their files: two good ones, one that fails, one that is slow."""
    good = {f"iris-{version}.joblib": (samples / "iris" / version / "model.joblib").read_bytes() for version in "12"}
    model = joblib.load(samples / "iris" / "1" / "model.joblib")
    return {**good, "iris-3.joblib": _behind(_FAILING, model), "iris-4.joblib": _behind(_SLOW, model)}


def _behind(text: str, model: Any) -> bytes:
    first = FunctionTransformer().fit([[0.0] * model.n_features_in_])
    first.func = _Text(text)
    written = io.BytesIO()
    joblib.dump(make_pipeline(first, model), written)
    return written.getvalue()
