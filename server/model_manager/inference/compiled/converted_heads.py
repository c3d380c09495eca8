"""Any estimator that skl2onnx knows → a head in ONNX Runtime, in double precision: for what has no form of its own."""

import logging
from collections.abc import Collection
from typing import Any, Final

import numpy as np
from sklearn.neighbors._base import NeighborsBase

from model_manager.inference.compiled.arrays_within import arrays_within
from model_manager.inference.compiled.form import Answers, BuiltHead, NotCovered, require_finite
from model_manager.inference.compiled.session import open_session
from model_manager.inference.compiled.thresholds import choose_thresholds
from model_manager.inference.methods import methods_of
from model_manager.inference.parts_within import parts_within
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import DTYPES, Array, Output
from model_manager.version import pip_install

NAME: Final = "onnx"
MAX_BYTES: Final = 32_000_000
"""An estimator whose arrays are larger is not converted: that is done in Python, element by element."""

_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
_SCORES: Final = ("predict_proba", "decision_function", "score_samples")


def build_converted_head(estimator: Any, *, width: int, declared: Collection[Output]) -> BuiltHead:
    """Convert an estimator of matrices of `width` columns; blocking.

    Raises NotCovered where skl2onnx is missing, does not know it, or would choose among equals in another way.
    """
    if any(isinstance(part, NeighborsBase) for part in parts_within(estimator)):
        raise NotCovered("of neighbours at equal distance, ONNX Runtime takes others")
    size = sum(array.nbytes for array in arrays_within(estimator))
    if size > MAX_BYTES:
        raise NotCovered(f"its arrays take {size // 1_000_000} MB; more than {MAX_BYTES // 1_000_000} take too long")
    model = _convert(estimator, width)
    outputs = {output.name: output for output in declared}
    names = _names(estimator, len(model.graph.output))
    useful = frozenset(names) & outputs.keys()
    if useful == {"predict"} and DTYPES[outputs["predict"].datatype].kind != "f":
        raise NotCovered("labels without the scores behind them cannot be proven near a tie")
    run = open_session(model.SerializeToString(), [output.name for output in model.graph.output][: len(names)])

    def head(X: Array, asked: tuple[str, ...]) -> Answers:
        require_finite(X)
        found = dict(zip(names, run({"X": np.ascontiguousarray(X)}), strict=True))
        return {name: _laid_out(np.asarray(found[name]), outputs[name]) for name in asked}

    return BuiltHead(NAME, useful, head, _thresholds(estimator, width))


def _laid_out(answer: Array, output: Output) -> Array:
    if answer.ndim == 2 and len(output.shape) == 1 and answer.shape[1] == 1:
        answer = answer[:, 0]
    return answer.astype(DTYPES[output.datatype], copy=False)


def _names(estimator: Any, count: int) -> list[str]:
    """What the first one or two outputs of the model are; a wrong guess is found out by the proof."""
    methods = methods_of(estimator)
    if "predict" not in methods:
        return ["transform"]
    return ["predict", *(method for method in _SCORES if method in methods)][: min(count, 2)]


def _convert(estimator: Any, width: int) -> Any:
    try:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import DoubleTensorType
    except ImportError:
        raise NotCovered(f"skl2onnx is not installed: {pip_install('compiled')}") from None
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    tries: list[dict[str, bool]] = [{"zipmap": False}, {}]
    if not hasattr(estimator, "predict_proba"):
        tries.insert(0, {"zipmap": False, "raw_scores": True})
    refused = ""
    for options in tries:
        try:
            with warnings_dropped():
                return to_onnx(
                    estimator,
                    initial_types=[("X", DoubleTensorType([None, width]))],
                    options={id(estimator): options},
                    target_opset=dict(_OPSETS),
                )
        except Exception as error:  # of any type: also what its converters run into themselves
            refused = " ".join(str(error).split())[:200] or type(error).__name__
    raise NotCovered(f"skl2onnx does not convert it: {refused}")


def _thresholds(estimator: Any, width: int) -> tuple[tuple[int, float], ...]:
    """Where the trees inside decide, as far as they are as wide as the matrix and so may see it."""
    trees = [part for part in parts_within(estimator) if type(part).__name__ == "Tree" and part.n_features == width]
    if not trees:
        return ()
    inner = [tree.children_left != -1 for tree in trees]
    features = np.concatenate([tree.feature[at] for tree, at in zip(trees, inner, strict=True)])
    thresholds = np.concatenate([tree.threshold[at] for tree, at in zip(trees, inner, strict=True)])
    return choose_thresholds(features, thresholds)
