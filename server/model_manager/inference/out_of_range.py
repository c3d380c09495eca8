"""Whose fault it is that an estimator found infinity in its input: that of a caller whose values are too large for it.

Asked after a prediction failed, so it costs nothing where none does. Trees and forests compute in float32; a step of a
pipeline may square what it is given. Neither can be told beforehand from what an estimator says of itself. An infinity
that was sent as one is the caller's too, in whichever words an estimator refuses it.
"""

from types import TracebackType
from typing import Final

import numpy as np

from model_manager.signature import Array, Layout, Rows, Signature

_LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_SUSPECT: Final = _LARGEST_FLOAT32**0.5
"""From here on a value can be too large: its square fits no float32. Below it, what overflows is the model's doing."""

_LARGEST: Final = float(np.finfo(np.float64).max)
_CHECK: Final = "_assert_all_finite"
_MODULE: Final = "sklearn.utils.validation"


def out_of_range(error: BaseException | None, rows: Rows, signature: Signature) -> str | None:
    """Name the row and the column of the value that scikit-learn's check of its input refused as too large.

    Or that of an infinite one, whatever failed. None where it was something else, or no value can be the reason.
    """
    checked = isinstance(error, ValueError) and "infinity" in str(error) and _was_checked(error.__traceback__)
    if not isinstance(error, Exception):
        return None
    largest, at = _SUSPECT if checked else _LARGEST, None
    for position, values in enumerate(_columns(rows, signature)):
        magnitudes = _magnitudes(values)
        if magnitudes is None:
            continue
        row = int(np.nanargmax(magnitudes)) if not np.isnan(magnitudes).all() else 0
        if magnitudes[row] > largest:
            largest, at = magnitudes[row], (row, position, values[row])
    if at is None:
        return None
    row, position, value = at
    columns = signature.columns
    named = columns is not None and (signature.named or signature.layout is Layout.FRAME)
    column = f'"{columns[position].name}"' if columns is not None and named else str(position)
    kind = " (it computes in float32)" if "float32" in str(error) else ""
    return f"row {row}, column {column}: {float(value):g} is too large for this model{kind}; send a value that it knows"


def _was_checked(trace: TracebackType | None) -> bool:
    """Whether the error was raised where scikit-learn checks what an estimator is given."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    frame = trace.tb_frame
    return frame.f_globals.get("__name__") == _MODULE and frame.f_code.co_name.startswith(_CHECK)


def _columns(rows: Rows, signature: Signature) -> list[Array]:
    if signature.layout is Layout.ARRAY:
        return list(rows.blocks[0].T)
    return list(rows.blocks) if signature.layout is Layout.FRAME else []


def _magnitudes(values: Array) -> Array | None:
    if values.dtype.kind not in "fiuO":
        return None
    try:
        magnitudes: Array = np.abs(values.astype(np.float64))
    except (TypeError, ValueError, OverflowError):  # strings among objects
        return None
    return magnitudes
