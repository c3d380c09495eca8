"""Golden rows: a version must answer what its author saw before it may serve. Warm-up and drift check in one."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from model_manager.errors import LoadFailed, PredictionFailed
from model_manager.inference.predictor import Predictor
from model_manager.signature import Rows

RTOL: Final = 1e-5
ATOL: Final = 1e-8
"""Floats must agree to five digits: BLAS, CPU and batch size change the last few, a wrong model changes the first."""


def check_golden(predictor: Predictor, rows: Rows, expected: Mapping[str, Sequence[Any]]) -> None:
    """Predict the golden rows and compare: labels exactly, floats within RTOL and ATOL, NaN (null in JSON) as NaN.

    Raises LoadFailed: "golden_mismatch" naming row (from 0) and output, or "metadata_invalid" when `expected` names no
    output of the predictor or has another number of rows.
    """
    known = {output.name for output in predictor.signature.offered}
    for name, values in expected.items():
        if name not in known:
            raise LoadFailed("metadata_invalid", f"metadata.json: golden.outputs: the model has no output {name!r}")
        if len(values) != len(rows):
            message = f"metadata.json: golden.outputs.{name}: {len(values)} values for {len(rows)} golden rows"
            raise LoadFailed("metadata_invalid", message)
    try:
        answers = predictor.predict(rows, tuple(expected))
    except PredictionFailed as error:
        raise LoadFailed("golden_mismatch", f"the golden rows cannot be predicted: {error}") from error
    differences = [
        f"golden row {row}, output {name}{place}: expected {wanted!r}, got {got!r}"
        for name, values in expected.items()
        for row, (want, have) in enumerate(zip(values, answers[name].tolist(), strict=True))
        for place, wanted, got in _differences(want, have)
    ]
    if differences:
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        raise LoadFailed("golden_mismatch", differences[0] + more)


def _differences(expected: Any, got: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield every place at which two (nested lists of) values differ."""
    if isinstance(expected, list | tuple) and isinstance(got, list) and len(expected) == len(got):
        for index, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(one, other, f"{place}[{index}]")
    elif not _equal(expected, got):
        yield place, expected, got


def _equal(expected: Any, got: Any) -> bool:
    if isinstance(got, float):
        if expected is None or not math.isfinite(got):
            # JSON has no word for NaN and infinity: null stands for either.
            return not math.isfinite(got) and (expected is None or _same_non_finite(expected, got))
        if isinstance(expected, bool) or not isinstance(expected, int | float):
            return False
        return math.isclose(expected, got, rel_tol=0, abs_tol=ATOL + RTOL * abs(expected))
    return bool(expected == got) and isinstance(expected, bool) == isinstance(got, bool)


def _same_non_finite(expected: Any, got: float) -> bool:
    return isinstance(expected, float) and (expected == got or (math.isnan(expected) and math.isnan(got)))
