"""Any estimator that skl2onnx knows → an ONNX Runtime form in double precision, from client rows to answers."""

import logging
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from sklearn.neighbors._base import NeighborsBase

from server.inference.compiled.arrays_within import arrays_within, parts_within
from server.inference.compiled.form import Answers, Form, NotCovered, NotVouched, Split, require_finite
from server.inference.compiled.session import open_session
from server.inference.compiled.tree_sums import choose_thresholds
from server.inference.methods import methods_of
from server.inference.warning_filters import warnings_filtered
from server.signature import DTYPES, Array, Layout, Rows, Signature

NAME: Final = "onnx"
MAX_BYTES: Final = 32_000_000
"""An estimator whose arrays are larger is not converted: that is done in Python, element by element."""

_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}


def build_converted(estimator: Any, signature: Signature) -> Form:
    """Convert an estimator, blocking. Raises NotCovered where skl2onnx is missing, or does not know it."""
    if any(isinstance(part, NeighborsBase) for part in parts_within(estimator)):
        raise NotCovered("of neighbours at equal distance, ONNX Runtime takes others")
    size = sum(array.nbytes for array in arrays_within(estimator))
    if size > MAX_BYTES:
        raise NotCovered(f"its arrays take {size // 1_000_000} MB; more than {MAX_BYTES // 1_000_000} take too long")
    model = _convert(estimator, signature)
    declared = {output.name: output for output in signature.outputs}
    names = _names(estimator, len(model.graph.output))
    useful = frozenset(names) & declared.keys()
    if useful == {"predict"} and declared["predict"].datatype != "FP64":
        raise NotCovered("labels without the scores behind them cannot be proven near a tie")
    run = open_session(model.SerializeToString(), [output.name for output in model.graph.output][: len(names)])
    feeds_of = _feeds(signature)

    def predict(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        found = dict(zip(names, run(feeds_of(rows)), strict=True))
        answers = {}
        for name in outputs:
            answer, output = np.asarray(found[name]), declared[name]
            if answer.ndim == 2 and len(output.shape) == 1 and answer.shape[1] == 1:
                answer = answer[:, 0]
            answers[name] = answer.astype(DTYPES[output.datatype], copy=False)
        return answers

    return Form(NAME, useful, predict, _splits(estimator, signature))


def _splits(estimator: Any, signature: Signature) -> tuple[Split, ...]:
    """Where the trees inside decide, as far as they are as wide as the client's rows and so may see them."""
    width = len(signature.columns or ())
    trees = [part for part in parts_within(estimator) if type(part).__name__ == "Tree" and part.n_features == width]
    if not trees:
        return ()
    inner = [tree.children_left != -1 for tree in trees]
    features = np.concatenate([tree.feature[at] for tree, at in zip(trees, inner, strict=True)])
    thresholds = np.concatenate([tree.threshold[at] for tree, at in zip(trees, inner, strict=True)])
    return tuple(Split(feature, value) for feature, value in choose_thresholds(features, thresholds))


def _names(estimator: Any, count: int) -> list[str]:
    """What the first one or two outputs of the model are; a wrong guess is found out by the proof."""
    methods = methods_of(estimator)
    if "predict" not in methods:
        return ["transform"]
    second = [method for method in ("predict_proba", "decision_function", "score_samples") if method in methods]
    return ["predict", *second][: min(count, 2)]


def _convert(estimator: Any, signature: Signature) -> Any:
    try:
        from skl2onnx import to_onnx
    except ImportError:
        raise NotCovered("skl2onnx is not installed; install model-manager[compiled]") from None
    logging.getLogger("skl2onnx").setLevel(logging.ERROR)
    inputs = _inputs(signature)
    failures = []
    for options in ({"zipmap": False}, {"zipmap": False, "raw_scores": True}, {}):
        if "raw_scores" in options and hasattr(estimator, "predict_proba"):
            continue
        try:
            with warnings_filtered("ignore", Warning):
                return to_onnx(
                    estimator, initial_types=inputs, options={id(estimator): options}, target_opset=dict(_OPSETS)
                )
        except Exception as error:
            failures.append(" ".join(str(error).split())[:200] or type(error).__name__)
    raise NotCovered(f"skl2onnx does not convert it: {failures[-1]}")


def _inputs(signature: Signature) -> list[tuple[str, Any]]:
    from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType

    if signature.columns is None or signature.layout is Layout.TEXT:
        raise NotCovered("skl2onnx takes rows of columns of known width; text is tokenized differently there")
    if signature.layout is Layout.ARRAY:
        if signature.datatype != "FP64":
            raise NotCovered(f"a tensor of {signature.datatype} is not fed to ONNX Runtime")
        return [("X", DoubleTensorType([None, len(signature.columns)]))]
    kinds = {"BYTES": StringTensorType, "FP64": DoubleTensorType, "INT64": Int64TensorType}
    unknown = {column.datatype for column in signature.columns} - kinds.keys()
    if unknown:
        raise NotCovered(f"a column of {unknown.pop()} is not fed to ONNX Runtime")
    return [(column.name, kinds[column.datatype]([None, 1])) for column in signature.columns]


def _feeds(signature: Signature) -> Callable[[Rows], dict[str, Array]]:
    if signature.layout is Layout.ARRAY:
        return _array_feeds
    assert signature.columns is not None, "checked when it was converted"
    columns = [(column.name, column.datatype) for column in signature.columns]

    def feeds(rows: Rows) -> dict[str, Array]:
        fed = {}
        for (name, datatype), block in zip(columns, rows.blocks, strict=True):
            if datatype == "BYTES":
                if not all(isinstance(value, str) for value in block.tolist()):
                    raise NotVouched  # ONNX has no missing string
            elif datatype == "FP64":
                require_finite(block)
            fed[name] = block.reshape(-1, 1)
        return fed

    return feeds


def _array_feeds(rows: Rows) -> dict[str, Array]:
    X = np.ascontiguousarray(rows.blocks[0])
    require_finite(X)
    return {"X": X}
