"""What is usual for a version: rows against which a row is explained, where that takes any.

In the flow: explaining → **background** → inference.explaining. They are made up from the package's baseline, column by
column, so that no row of the training data has to be kept for them; without a baseline, the golden rows stand in.
"""

from bisect import bisect_left
from itertools import accumulate
from typing import Final

import numpy as np

from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput
from model_manager.repository.metadata import Histogram, Metadata
from model_manager.signature import Column, Layout, Rows, Signature

ROWS: Final = 100


def background_of(metadata: Metadata, signature: Signature) -> Rows | None:
    """Rows that stand for the training data; None where the package tells nothing of it."""
    columns = signature.columns or ()
    known = {} if metadata.baseline is None else metadata.baseline.features
    if columns and signature.layout is not Layout.TEXT and all(column.name in known for column in columns):
        try:
            return _made_up(columns, [known[column.name] for column in columns], signature)
        except InvalidInput:  # the baseline holds what the version does not take
            pass
    golden = metadata.golden
    return None if golden is None else rows_from_instances(golden.instances, signature, source="golden.instances")


def _made_up(columns: tuple[Column, ...], counted: list[Histogram], signature: Signature) -> Rows:
    """Values of each column in the shares in which they were counted, each in an order of its own."""
    random = np.random.default_rng(0)
    shares = (np.arange(ROWS) + 0.5) / ROWS
    values = [
        [_value(histogram, share, column) for share in random.permutation(shares).tolist()]
        for column, histogram in zip(columns, counted, strict=True)
    ]
    rows = [list(row) for row in zip(*values, strict=True)]
    if signature.layout is Layout.FRAME:
        names = [column.name for column in columns]
        return rows_from_instances([dict(zip(names, row, strict=True)) for row in rows], signature, source="baseline")
    return rows_from_instances(rows, signature, source="baseline")


def _value(histogram: Histogram, share: float, column: Column) -> object:
    """The value below which a share of the training rows lies, in the order of the bins; missing ones come last."""
    reached = list(accumulate(histogram.counts, initial=0))
    place = share * (reached[-1] + histogram.missing)
    if place >= reached[-1]:
        return None
    at = max(0, bisect_left(reached, place) - 1)
    if histogram.values is not None:
        return histogram.values[at]
    edges = histogram.edges or [0.0, 0.0]
    value = edges[at] + (edges[at + 1] - edges[at]) * (place - reached[at]) / max(1, histogram.counts[at])
    return value if column.datatype.startswith("FP") else round(value)
