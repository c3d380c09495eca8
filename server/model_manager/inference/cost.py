"""What a batch costs, measured at load: how many rows may be predicted on the event loop instead of on a thread."""

from time import perf_counter

from model_manager.errors import PredictionFailed
from model_manager.inference.predictor import Predictor
from model_manager.signature import Rows

INLINE_BUDGET_S = 0.0005
"""A batch cheaper than this runs on the loop: handing it to a thread and back costs about a fifth of it, and nobody
notices half a millisecond."""

_SIZES = (1, 4, 16, 64, 256)
_REPEATS = 3


def measure_inline_rows(predictor: Predictor, example: Rows) -> int:
    """The largest batch, of the sizes tried, whose default output takes less than INLINE_BUDGET_S; 0 for none.

    Predicts copies of the first row of `example`, so it warms the predictor up as well. Blocking.
    """
    outputs = (predictor.signature.default_output,)
    row = Rows(tuple(block[:1] for block in example.blocks))
    inline_rows = 0
    for size in _SIZES:
        rows = Rows.concatenate([row] * size)
        try:
            cost = min(_time(predictor, rows, outputs) for _ in range(_REPEATS))
        except PredictionFailed:  # a made-up row that this model does not like says nothing of its cost
            return 0
        if cost > INLINE_BUDGET_S:
            break
        inline_rows = size
    return inline_rows


def _time(predictor: Predictor, rows: Rows, outputs: tuple[str, ...]) -> float:
    started = perf_counter()
    predictor.predict(rows, outputs)
    return perf_counter() - started
