"""Answers as a batcher hands them over, of versions that answer classes, numbers or neither."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from model_manager.call import Call, Headers
from model_manager.feedback import Kept
from model_manager.feedback.kept import Bounds
from model_manager.signature import Array, Layout, Output, Signature

WINDOW_S = 100.0
CLASSES = ("no", "yes")


def signature(*outputs: Output) -> Signature:
    return Signature(Layout.ARRAY, None, False, outputs)


BINARY = signature(
    Output("predict", "BYTES", (-1,), CLASSES), Output("predict_proba", "FP64", (-1, len(CLASSES)), CLASSES)
)
NUMBERS = signature(Output("predict", "FP64", (-1,)))


def kept(of: Signature = BINARY, **bounds: Any) -> Kept:
    numbers = itertools.count()
    limits = {"window_s": WINDOW_S, "entries": 1000, "bytes": 1 << 20, "share": 1.0, **bounds}
    return Kept(of, ("churn", "1"), Bounds(**limits), lambda: f"ours-{next(numbers)}")


def call(at: float, id: str | None = None) -> Call:
    headers: Headers = [] if id is None else [(b"x-request-id", id.encode())]
    return Call("v1", "/v1/models/{model}:predict", "POST", "/v1/models/churn:predict", headers, "churn", None, at)


def answer(to: Kept, id: str, *values: Any, at: float = 0.0, chances: Sequence[Sequence[float]] | None = None) -> None:
    """Let a version answer a request."""
    numbers = all(isinstance(value, float) for value in values)
    results: dict[str, Array] = {"predict": np.array(values, dtype=np.float64 if numbers else object)}
    if chances is not None:
        results["predict_proba"] = np.array(chances)
    to.keep(call(at, id), None, results, [])
    to.fold(at)
