"""A fitted estimator → the forms that could answer for it, none of them proven yet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, TypeAlias

from model_manager.inference.compiled.converted_heads import build_converted_head
from model_manager.inference.compiled.ensembles.parts import NAME as ENSEMBLE
from model_manager.inference.compiled.form import Answers, BuiltHead, Form, Matrix, NotCovered, Split, compose
from model_manager.inference.compiled.fronts.column_steps import Origins
from model_manager.inference.compiled.fronts.front import BuiltFront, build_front
from model_manager.inference.compiled.heads import (
    ensemble_head,
    ensemble_head_of_rows,
    is_transformer,
    numpy_head,
    tree_head,
    unwrap,
)
from model_manager.inference.compiled.linear.one_row import label_of_one_row
from model_manager.signature import Rows, Signature

_LABEL: Final = ("predict",)

HeadOf: TypeAlias = Callable[[Any, Matrix], BuiltHead]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to build a form, by name; building raises NotCovered where there is none, and may take a while."""

    name: str
    build: Callable[[], Form]


def candidates(estimator: Any, signature: Signature) -> Iterator[Candidate]:
    """Name every way that could cover this estimator, cheapest first; each is meant for what the last left open."""
    inner, transformers = unwrap(estimator)
    headed = _Headed(transformers, inner, signature)
    yield Candidate("onnx-trees", lambda: headed.by(tree_head))
    yield Candidate("numpy", lambda: _one_row_first(headed.by(numpy_head), headed))
    yield Candidate(ENSEMBLE, lambda: _ensemble(headed))
    yield Candidate("onnx", lambda: _converted(transformers, inner, signature))
    if transformers:
        yield Candidate("onnx", lambda: _converted([], estimator, signature))


class _Headed:
    """Forms of one front, which is built once, and any head behind it."""

    def __init__(self, transformers: list[Any], inner: Any, signature: Signature) -> None:
        self.inner = inner
        self.transformers = transformers
        self.signature = signature
        before = transformers
        if is_transformer(inner):
            before = [*transformers, inner]
        elif (encoder := getattr(inner, "_preprocessor", None)) is not None:
            before = [*transformers, encoder]  # histogram boosting that was told of categories encodes them itself
        self._front: Callable[[], BuiltFront] = cache(partial(build_front, before, signature))

    @property
    def origins(self) -> Origins:
        """Where each feature behind the front comes from."""
        return self._front().origins

    def by(self, head_of: HeadOf) -> Form:
        front = self._front()
        nullable = any(column.nullable for column in self.signature.columns or ())
        matrix = Matrix(len(front.origins), nullable=nullable, sparse=front.sparse)
        return compose(front.run, head_of(self.inner, matrix), front.origins)


def _one_row_first(form: Form, headed: _Headed) -> Form:
    """A form that labels single rows by a shorter way, where there is one."""
    label_of = label_of_one_row(headed.inner, headed.origins, headed.signature)
    if label_of is None:
        return form
    label, predict = label_of, form.predict

    def predict_one_first(rows: Rows, outputs: tuple[str, ...]) -> Answers:
        if outputs == _LABEL and len(rows) == 1:
            found = label(rows)
            if found is not None:
                return {_LABEL[0]: found}
        return predict(rows, outputs)

    return replace(form, predict=predict_one_first)


def _ensemble(headed: _Headed) -> Form:
    """An ensemble behind one front; if its parts have fronts of their own, each of them is given the rows."""
    try:
        return headed.by(ensemble_head)
    except NotCovered:
        if headed.transformers:
            raise
    head = ensemble_head_of_rows(headed.inner, lambda part: _part_of_rows(part, headed.signature))
    return Form(head.name, head.outputs, head.run, tuple(Split(*threshold) for threshold in head.thresholds))


def _part_of_rows(estimator: Any, signature: Signature) -> BuiltHead:
    inner, transformers = unwrap(estimator)
    headed = _Headed(transformers, inner, signature)
    reason = ""
    for build in (partial(headed.by, tree_head), partial(headed.by, numpy_head), partial(_ensemble, headed)):
        try:
            form = build()
        except NotCovered as error:
            reason = str(error)
        else:
            thresholds = tuple((split.column, split.value) for split in form.splits)
            return BuiltHead(form.name, form.outputs, form.predict, thresholds)
    raise NotCovered(f"a part of it has no form: {type(inner).__name__}; {reason}")


def _converted(transformers: list[Any], inner: Any, signature: Signature) -> Form:
    """What skl2onnx makes of the estimator behind our own front, which takes strings and missing values better."""
    front = build_front(transformers, signature)
    if front.sparse:
        raise NotCovered("ONNX Runtime takes no sparse rows")
    head = build_converted_head(inner, width=len(front.origins), declared=signature.outputs)
    if not head.outputs:
        raise NotCovered("skl2onnx converts none of its outputs")
    return compose(front.run, head, front.origins)
