"""What an estimator was made with: its kind, and its parameters as `get_params` tells them, for people to compare."""

from math import isfinite
from typing import Any, Final

_LONGEST: Final = 200


def parameters_of(estimator: Any) -> dict[str, Any]:
    """Name an estimator's class, and its parameters with those of the estimators within it, as short texts.

    Whatever the estimator's own code raises comes through.
    """
    kind = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    get_params = getattr(estimator, "get_params", None)
    values = get_params(deep=True) if callable(get_params) else {}
    return {"kind": kind, "parameters": {str(name): _shown(value) for name, value in sorted(values.items())}}


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    if hasattr(value, "get_params"):
        return type(value).__qualname__  # its own parameters are told by their own names
    if isinstance(value, list | tuple):
        shown = ", ".join(str(_shown(each)) for each in value)
        return f"[{shown}]"[:_LONGEST]
    return repr(value)[:_LONGEST]
