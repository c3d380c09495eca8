"""Whether a version without golden rows predicts at all: one that raises on every row must not take over.

Rows are made up, and a model may have reasons to refuse those. So many kinds are tried, and where nothing tells what a
column may hold, a complaint about values proves nothing.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from sklearn.exceptions import NotFittedError

from model_manager.errors import LoadFailed, PredictionFailed, one_line
from model_manager.inference.compiled.proof.rows import RowMaker
from model_manager.inference.compiled.proof.scales import Scales, find_scales
from model_manager.inference.predictor import Predictor
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Column, Rows

_ORDINARY: Final = 8
_NUMBERS: Final = (1.0, 0.5, 2.0, -1.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e-3)
_OF_VALUES: Final = (ValueError, TypeError, ArithmeticError, AttributeError, AssertionError)


def refuse_raising(estimator: Any, predictor: Predictor, example: Rows | None) -> None:
    """Predict the default output of `example`, then of made-up rows one by one, until the first that is answered.

    Raises LoadFailed("predict_raises") where none is. Nothing is tried where requests choose the width of their rows.
    """
    signature = predictor.signature
    if example is None or signature.columns is None:
        return
    output = signature.default_output
    scales = find_scales(estimator, signature, ())
    errors: list[BaseException] = []
    with warnings_dropped():
        for rows in _made_up(RowMaker(signature, scales), example):
            try:
                predictor.predict(rows, (output,))
            except (PredictionFailed, KeyboardInterrupt) as error:
                errors.append(error)
            else:
                return
    doubtful = _doubtful(signature.columns, scales)
    if any(_is_picky(error, doubtful) for error in errors):
        return
    first = errors[0]
    told = str(first) if isinstance(first, PredictionFailed) else one_line(first)
    advice = "pack it with golden rows if it is right to refuse them all"
    raise LoadFailed("predict_raises", f"{output} fails on each of {len(errors)} rows tried: {told}; {advice}")


def _made_up(maker: RowMaker, example: Rows) -> Iterator[Rows]:
    yield Rows(tuple(block[:1] for block in example.blocks))
    ordinary = maker.rows(maker.ordinary(_ORDINARY))
    for at in range(_ORDINARY):
        yield Rows(tuple(block[at : at + 1] for block in ordinary.blocks))
    numeric = maker.numeric()
    for number in _NUMBERS if numeric else ():
        yield maker.with_values(1, numeric, np.array([number]))


def _doubtful(columns: tuple[Column, ...], scales: Scales) -> bool:
    """Whether something takes values that nobody could guess; numbers are tried far and wide."""
    return any(
        column.moments is not None
        or (column.datatype == "BYTES" and not (column.categories or scales.known.get(at) or scales.terms.get(at)))
        for at, column in enumerate(columns)
    )


def _is_picky(error: BaseException, doubtful: bool) -> bool:
    """Whether the model may only have complained of values: nobody guesses the numbers that are keys of a table."""
    cause = error.__cause__
    if isinstance(cause, LookupError) or (isinstance(cause, ValueError) and "unknown categor" in str(cause)):
        return True
    return doubtful and isinstance(cause, _OF_VALUES) and not isinstance(cause, NotFittedError)
