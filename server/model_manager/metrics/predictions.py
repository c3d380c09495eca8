"""Count what a version predicts: labels by name, numbers by bucket. What a canary is compared by, and drift seen in.

In the flow: batcher, once a batch → **predictions** → scrape.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from model_manager.metrics.catalogue.predictions import LABELS_SHOWN
from model_manager.metrics.instruments import Instrument, Series
from model_manager.signature import Array, Output, Signature

COUNTED_OUTPUT: Final = "predict"
_FEW: Final = 16
_MAGNITUDES: Final = (-10000.0, -1000.0, -100.0, -10.0, -1.0, 0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0)
"""Bounds for numbers of which nothing is known beforehand."""


class Distribution(Protocol):
    """Counts predictions, one a row."""

    def count(self, values: Array) -> None:
        """Count the answers of one batch."""
        ...


class Labels:
    """Counts labels; those beyond LABELS_SHOWN, and labels that were not declared, share the series `other`."""

    def __init__(self, instrument: Instrument, version: tuple[str, str], classes: Sequence[object]) -> None:
        self._instrument = instrument
        self._version = version
        self._others: Series | None = None
        self._by_label: dict[object, Series] = {
            label: instrument.labels(*version, str(label)) for label in classes[:LABELS_SHOWN]
        }
        instrument.remove(*version, but=[series.labels for series in self._by_label.values()])

    def count(self, values: Array) -> None:
        """Count the labels of one batch: a step for each row of a small one, for each label of a large one."""
        by_label, labels = self._by_label, values.tolist()
        if len(labels) <= _FEW:
            for label in labels:
                (by_label.get(label) or self._other()).value += 1
        else:
            for label, times in Counter(labels).items():
                (by_label.get(label) or self._other()).value += times

    def _other(self) -> Series:
        if self._others is None:
            self._others = self._instrument.labels(*self._version, "other")
        return self._others


class Values:
    """Counts numbers by bucket. What is not a number is not counted."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def count(self, values: Array) -> None:
        """Count the numbers of one batch."""
        series = self._series
        if len(values) <= _FEW:
            for value in values.tolist():
                if value - value == 0:  # finite
                    series.observe(value)
            return
        series.observe_all(values[np.isfinite(values)])


def distribution_of(
    signature: Signature,
    edges: Sequence[float] | None,
    *,
    labels: Instrument,
    values: Instrument,
    version: tuple[str, str],
) -> Distribution | None:
    """What counts the predictions of a version; None where it has no output that answers one value a row.

    `edges` are bucket bounds for numbers, where the training data tells any. Series that another artifact of the same
    version left go, unless they are the very same: of other labels, or by other bounds.
    """
    output = next((one for one in signature.outputs if one.name == COUNTED_OUTPUT and _is_flat(one)), None)
    if output is not None and output.classes:
        values.remove(*version)
        return Labels(labels, version, output.classes)
    labels.remove(*version)
    if output is None or output.datatype in ("BYTES", "BOOL"):
        values.remove(*version)
        return None
    bounds = tuple(float(edge) for edge in edges) if edges else _MAGNITUDES
    return Values(values.labels(*version, bounds=bounds))


def _is_flat(output: Output) -> bool:
    return len(output.shape) == 1
