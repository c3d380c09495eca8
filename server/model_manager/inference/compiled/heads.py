"""An estimator and the matrix it is given → a head, from whichever room has one; the parts of ensembles among them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from model_manager.inference.compiled.ensembles.calibration import build_calibrated
from model_manager.inference.compiled.ensembles.one_vs_rest import build_one_vs_rest
from model_manager.inference.compiled.ensembles.parts import Builders
from model_manager.inference.compiled.ensembles.stacks import build_stack
from model_manager.inference.compiled.ensembles.votes import build_vote
from model_manager.inference.compiled.form import Answers, BuiltHead, Given, Matrix, NotCovered, Origin, compose
from model_manager.inference.compiled.fronts.column_steps import Origins, Step, build_steps
from model_manager.inference.compiled.kernels.neighbours import build_neighbours_head
from model_manager.inference.compiled.kernels.support_vectors import build_support_vector_head
from model_manager.inference.compiled.linear.heads import build_linear_head
from model_manager.inference.compiled.linear.layers import build_layers_head
from model_manager.inference.compiled.linear.naive_bayes import build_naive_bayes_head
from model_manager.inference.compiled.trees.boosting import build_boosted_head
from model_manager.inference.compiled.trees.forests import build_forest_head
from model_manager.inference.compiled.trees.lightgbm import build_lightgbm_head


def unwrap(estimator: Any) -> tuple[Any, list[Any]]:
    """The estimator that answers, and the transformers before it, through searches, pipelines and what is frozen."""
    transformers: list[Any] = []
    while True:
        if isinstance(estimator, Pipeline):
            transformers.extend(step for _, step in estimator.steps[:-1])
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, transformers


def tree_head(estimator: Any, matrix: Matrix) -> BuiltHead:
    """A head of trees. Raises NotCovered for anything else, or for what is no dense matrix."""
    if matrix.sparse:
        raise NotCovered("trees take no sparse rows here")
    for build in (build_forest_head, build_boosted_head, build_lightgbm_head):
        if (head := build(estimator, nullable=matrix.nullable)) is not None:
            return head
    raise NotCovered(f"{type(estimator).__name__} is not a tree, a forest or gradient boosting of trees")


def numpy_head(estimator: Any, matrix: Matrix) -> BuiltHead:
    """A head in numpy. Raises NotCovered for an estimator that has none."""
    if is_transformer(estimator):
        if matrix.sparse:
            raise NotCovered("its answers are as wide as its vocabulary")
        return BuiltHead("numpy", frozenset({"transform"}), _matrix_itself)
    for build in (build_layers_head, build_naive_bayes_head, build_support_vector_head, build_neighbours_head):
        if (head := build(estimator, matrix)) is not None:
            return head
    return build_linear_head(estimator, matrix)


def is_transformer(estimator: Any) -> bool:
    """Whether it belongs to the front: nothing is left for a head but the matrix itself."""
    return hasattr(estimator, "transform") and not hasattr(estimator, "predict")


def _matrix_itself(X: Given, outputs: tuple[str, ...]) -> Answers:
    return {"transform": X}


def ensemble_head(estimator: Any, matrix: Matrix) -> BuiltHead:
    """A head that asks a head for every part. Raises NotCovered if it is no ensemble, or a part has none."""
    return _combine(estimator, Builders(partial(any_head, matrix=matrix), any_head, matrix))


def ensemble_head_of_rows(estimator: Any, part: Callable[[Any], BuiltHead]) -> BuiltHead:
    """The same where every part is given Rows, and has a front of its own."""
    return _combine(estimator, Builders(part, any_head, None))


def _combine(estimator: Any, builders: Builders) -> BuiltHead:
    for build in (build_vote, build_stack, build_calibrated, build_one_vs_rest):
        if (head := build(estimator, builders)) is not None:
            return head
    raise NotCovered(f"{type(estimator).__name__} is no ensemble with a form of its own")


def any_head(estimator: Any, matrix: Matrix) -> BuiltHead:
    """A head for whatever is given this matrix, a pipeline with numeric steps included. Raises NotCovered."""
    inner, transformers = unwrap(estimator)
    if getattr(inner, "_preprocessor", None) is not None:
        raise NotCovered("it encodes categories itself")
    steps = [step for transformer in transformers for step in build_steps(transformer)]
    if not steps:
        return _bare_head(inner, matrix)
    if matrix.sparse:
        raise NotCovered("steps behind text have no equivalent here")
    origins: Origins = [Origin(at) for at in range(matrix.width)]
    for step in steps:
        origins = step.origins(origins)
    head = _bare_head(inner, replace(matrix, width=len(origins)))
    form = compose(partial(_applied, steps), head, origins)
    return BuiltHead(head.name, head.outputs, form.predict, tuple((one.column, one.value) for one in form.splits))


def _applied(steps: list[Step], X: Given) -> Given:
    for step in steps:
        X = step.apply(X)
    return X


def _bare_head(estimator: Any, matrix: Matrix) -> BuiltHead:
    reason = ""
    for build in (tree_head, numpy_head, ensemble_head):
        try:
            return build(estimator, matrix)
        except NotCovered as error:
            reason = str(error)
    raise NotCovered(f"a part of it has no form: {type(estimator).__name__}; {reason}")
