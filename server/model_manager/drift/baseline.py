"""Histograms of the training data and of the predictions on it: what drift is measured against later."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from model_manager.repository.metadata import Baseline, Histogram
from model_manager.signature import Array, Layout, Rows, Signature

MAX_COLUMNS: Final = 256
BINS: Final = 10
MAX_VALUES: Final = 20
MIN_COUNT: Final = 5
"""A string seen fewer times than this is not listed: it tells nothing of the distribution, and may tell of a person."""


def baseline_of(signature: Signature, rows: Rows, answers: Mapping[str, Array]) -> Baseline:
    """Count the columns of rows, and the answers to them; a table of scores column by column."""
    features, outputs = features_of(signature, rows), outputs_of(answers)
    return Baseline(
        features={name: counted for name, values in features.items() if (counted := histogram(values)) is not None},
        outputs={name: counted for name, values in outputs.items() if (counted := histogram(values)) is not None},
    )


def features_of(signature: Signature, rows: Rows) -> dict[str, Array]:
    """The columns of rows that a baseline knows, by name; none of texts, or where columns are not known."""
    if signature.layout is Layout.TEXT or signature.columns is None:
        return {}
    frame = signature.layout is Layout.FRAME
    return {
        column.name: rows.blocks[at] if frame else rows.blocks[0][:, at]
        for at, column in enumerate(signature.columns[:MAX_COLUMNS])
    }


def outputs_of(answers: Mapping[str, Array]) -> dict[str, Array]:
    """Answers of one value a row by their name, tables of scores column by column."""
    outputs: dict[str, Array] = {}
    for name, values in answers.items():
        if values.ndim == 1:
            outputs[name] = values
        elif values.ndim == 2:
            outputs |= {f"{name}[{at}]": values[:, at] for at in range(min(values.shape[1], MAX_COLUMNS))}
    return outputs


def histogram(values: Array) -> Histogram | None:
    """Count a one-dimensional array: strings, booleans and few integers by value, other numbers by decile.

    Missing and infinite values are counted apart. None where there is nothing to count, and for dates and times.
    """
    if values.dtype.kind in "OUSb":
        return _by_value(values.tolist())
    if values.dtype.kind == "M":
        return None
    numbers = values[np.isfinite(values)]
    missing = int(values.size - numbers.size)
    if not numbers.size:
        return None
    if values.dtype.kind in "iu" and len(np.unique(numbers)) <= MAX_VALUES:
        return _by_value(numbers.tolist())
    # Deciles, so that every bin has weight; repeated ones fall together.
    edges = np.unique(np.quantile(numbers.astype(np.float64), np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        around = max(0.5, abs(edges[0]) * 1e-9)  # of a large number a half more is the same
        edges = np.array([edges[0] - around, edges[0] + around])
    counts, _ = np.histogram(numbers, edges)
    return Histogram(edges=edges.tolist(), counts=counts.tolist(), missing=missing)


def _by_value(values: Iterable[Any]) -> Histogram | None:
    counted = Counter(values)
    missing = sum(counted.pop(value) for value in [value for value in counted if value is None or value != value])
    least = MIN_COUNT if any(isinstance(value, str) for value in counted) else 1
    # Ties in alphabetical order, so that the same data always gives the same file.
    top = sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))[:MAX_VALUES]
    kept = [(value, count) for value, count in top if count >= least]
    if not kept:
        return None
    return Histogram(values=[value for value, _ in kept], counts=[count for _, count in kept], missing=missing)
