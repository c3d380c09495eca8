"""A fitted estimator → the forms that could answer for it, none of them proven yet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sklearn.pipeline import Pipeline

from model_manager.inference.compiled.converted_heads import build_converted_head
from model_manager.inference.compiled.form import Answers, BuiltHead, Form, NotCovered, compose
from model_manager.inference.compiled.fronts.front import build_front
from model_manager.inference.compiled.linear.heads import build_linear_head
from model_manager.inference.compiled.trees.boosting import build_boosted_head
from model_manager.inference.compiled.trees.forests import build_forest_head
from model_manager.signature import Array, Signature


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to build a form, by name; building raises NotCovered where there is none, and may take a while."""

    name: str
    build: Callable[[], Form]


def candidates(estimator: Any, signature: Signature) -> Iterator[Candidate]:
    """Name every way that could cover this estimator, cheapest first; each is meant for what the last left open."""
    inner, transformers = _unwrap(estimator)
    yield Candidate("onnx-trees", lambda: _headed(transformers, inner, signature, _tree_head))
    yield Candidate("numpy", lambda: _headed(transformers, inner, signature, _numpy_head))
    yield Candidate("onnx", lambda: _converted(transformers, inner, signature))
    if transformers:
        yield Candidate("onnx", lambda: _converted([], estimator, signature))


def _unwrap(estimator: Any) -> tuple[Any, list[Any]]:
    """The estimator that answers, and the transformers before it, through searches and pipelines."""
    transformers: list[Any] = []
    while True:
        if isinstance(estimator, Pipeline):
            transformers.extend(step for _, step in estimator.steps[:-1])
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, transformers


def _headed(
    transformers: list[Any], inner: Any, signature: Signature, head_of: Callable[[Any, bool], BuiltHead]
) -> Form:
    nullable = any(column.nullable for column in signature.columns or ())
    head = head_of(inner, nullable)
    before = transformers
    if head.transforms:
        before = [*transformers, inner]
    elif (encoder := getattr(inner, "_preprocessor", None)) is not None:
        before = [*transformers, encoder]  # histogram boosting that was told of categories encodes them itself
    front = build_front(before, signature)
    return compose(front.run, head, front.origins)


def _converted(transformers: list[Any], inner: Any, signature: Signature) -> Form:
    """What skl2onnx makes of the estimator behind our own front, which takes strings and missing values better."""
    front = build_front(transformers, signature)
    head = build_converted_head(inner, width=len(front.origins), declared=signature.outputs)
    if not head.outputs:
        raise NotCovered("skl2onnx converts none of its outputs")
    return compose(front.run, head, front.origins)


def _tree_head(estimator: Any, nullable: bool) -> BuiltHead:
    for build in (build_forest_head, build_boosted_head):
        if (head := build(estimator, nullable=nullable)) is not None:
            return head
    raise NotCovered(f"{type(estimator).__name__} is not a tree, a forest or gradient boosting of trees")


def _numpy_head(estimator: Any, nullable: bool) -> BuiltHead:
    if hasattr(estimator, "transform") and not hasattr(estimator, "predict"):
        return BuiltHead("numpy", frozenset({"transform"}), _matrix_itself, transforms=True)
    return build_linear_head(estimator)


def _matrix_itself(X: Array, outputs: tuple[str, ...]) -> Answers:
    return {"transform": X}
