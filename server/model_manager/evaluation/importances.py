"""What moves a version's answers, over many rows: mean contributions by column, and how answers depend on a column.

Place in the flow: evaluating, where a report is wanted → **importances** → report. Bounded in rows and in time.
"""

from collections import Counter
from math import inf
from time import perf_counter
from typing import Any, Final

import numpy as np

from model_manager.errors import NotExplained, PredictionFailed
from model_manager.evaluation.answers import Answers
from model_manager.inference.explaining.explainer import Explainer, explainer_of
from model_manager.inference.predictor import SklearnPredictor
from model_manager.signature import Array, Layout, Rows

_MOST_ROWS: Final = 100
_BUDGET: Final = 500
_LIMIT_S: Final = 10.0
_EXACT: Final = ("trees", "linear")
_DEPENDED_ON: Final = 4
_POINTS: Final = 12
_MOST_VALUES: Final = 8
_MOST_LINES: Final = 3


def importances_of(
    predictor: SklearnPredictor, answers: Answers, *, seed: int, exact_rows: int = _MOST_ROWS, rows_asked: int = 0
) -> dict[str, Any]:
    """Explain up to a hundred rows, as far as ten seconds reach.

    With `rows_asked` so many at most where it takes asking the model, else `exact_rows`, however long that takes: the
    same is found every time. `columns` have the mean size of their contributions, in `unit` of `output`, and say how
    many rows that is of; `dependence`, for those that move answers most, the mean answer if every row had a value. Only
    `why` is there where the version is not explained.
    """
    ends = perf_counter() + _LIMIT_S if not rows_asked else inf
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(len(answers))[:_MOST_ROWS])
    rows = Rows(tuple(block[chosen] for block in answers.rows.blocks))
    try:
        explainer = explainer_of(predictor, rows, budget=_BUDGET)
        most = rows_asked if rows_asked and explainer.method not in _EXACT else exact_rows
        found = _contributions(explainer, Rows(tuple(block[:most] for block in rows.blocks)), ends)
        mean = np.abs(found).mean(axis=(0, 2))
        first = np.argsort(-mean, kind="stable")
        dependence = [
            _dependence(predictor, explainer, rows, int(at), answers.classes)
            for at in first[:_DEPENDED_ON]
            if mean[at] > 0 and perf_counter() < ends
        ]
    except (NotExplained, PredictionFailed) as error:
        return {"importances": {"why": str(error)}}
    names = [column.name for column in predictor.signature.columns or ()]
    told = {
        "output": explainer.output.name,
        "unit": explainer.unit,
        "method": explainer.method,
        "rows": len(found),
        "columns": [{"column": names[at], "mean": float(mean[at])} for at in first.tolist()],
        "dependence": dependence,
    }
    return {"importances": told}


def _contributions(explainer: Explainer, rows: Rows, ends: float) -> Array:
    """Contributions of (rows, columns, outputs), of at least one row."""
    found: list[Array] = []
    for at in range(len(rows)):
        if found and perf_counter() > ends:
            break
        found.append(explainer.explain(Rows(tuple(block[at : at + 1] for block in rows.blocks))).contributions)
    return np.concatenate(found)


def _dependence(
    predictor: SklearnPredictor, explainer: Explainer, rows: Rows, column: int, classes: tuple[Any, ...]
) -> dict[str, Any]:
    """The mean answer of all rows, if all had one value of a column, for some values that rows do have."""
    framed = predictor.signature.layout is Layout.FRAME
    own = rows.blocks[column] if framed else rows.blocks[0][:, column]
    values = _some_of(own)
    means = []
    for value in values:
        blocks = list(rows.blocks)
        changed = blocks[column if framed else 0].copy()
        changed[... if framed else (slice(None), column)] = value
        blocks[column if framed else 0] = changed
        answered = predictor.predict(Rows(tuple(blocks)), (explainer.output.name,))[explainer.output.name]
        means.append(np.mean(answered.reshape(len(rows), -1), axis=0))
    lines = np.array(means, dtype=np.float64).reshape(len(values), -1)
    if lines.shape[1] == 2:  # of two classes one says it all
        lines = lines[:, 1:]
    labels = [classes[1]] if lines.shape[1] == 1 and len(classes) == 2 else list(classes[:_MOST_LINES])
    return {
        "column": (predictor.signature.columns or ())[column].name,
        "values": [value.item() if isinstance(value, np.generic) else value for value in values],
        "of": [str(label) for label in labels],
        "answers": [lines[:, at].tolist() for at in range(min(lines.shape[1], _MOST_LINES))],
    }


def _some_of(values: Array) -> list[Any]:
    """Values at even shares of the rows, of numbers; of anything else the most frequent ones, and none of dates."""
    if values.dtype.kind == "M":
        return []
    if values.dtype.kind in "fiu":
        known = values[np.isfinite(values)]
        at = np.linspace(0.02, 0.98, _POINTS)
        return list(np.unique(np.quantile(known, at, method="nearest"))) if known.size else []
    counted = Counter(value for value in values.tolist() if value is not None and value == value)
    return [value for value, _ in counted.most_common(_MOST_VALUES)]
