"""The parts of an ensemble: heads of the estimators inside it, asked for one output each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from model_manager.inference.compiled.finish import Finish
from model_manager.inference.compiled.form import Answers, BuiltHead, Given, Matrix, NotCovered
from model_manager.signature import Array

NAME: Final = "ensemble"

Score: TypeAlias = Callable[[Given], Array]


@dataclass(frozen=True, slots=True)
class Builders:
    """How parts are made: `inside` for estimators that are given what the ensemble is given, `behind` for what is
    given the matrix of their answers. `matrix` is what the ensemble is given, None if that is Rows."""

    inside: Callable[[Any], BuiltHead]
    behind: Callable[[Any, Matrix], BuiltHead]
    matrix: Matrix | None


def score_of(head: BuiltHead, output: str) -> Score:
    """One output of a part as a function. Raises NotCovered if the part cannot answer it."""
    if output not in head.outputs:
        raise NotCovered(f"a part of it has no {output} here")
    run, asked = head.run, (output,)
    return lambda given: run(given, asked)[output]


def first_of(head: BuiltHead, estimator: Any, methods: Sequence[str]) -> str:
    """The first of these methods that the estimator has, as scikit-learn chooses; the head must have it too."""
    for method in methods:
        if hasattr(estimator, method):
            return method
    raise NotCovered(f"{type(estimator).__name__} has none of {', '.join(methods)}")


def combined(heads: Sequence[BuiltHead], raw: Score, finish: Finish) -> BuiltHead:
    """A head of parts whose answers `raw` combines once for all outputs; it decides where its parts decide."""

    def run(given: Given, outputs: tuple[str, ...]) -> Answers:
        scores = raw(given)
        return {name: finish[name](scores) for name in outputs}

    thresholds = tuple(sorted({threshold for head in heads for threshold in head.thresholds}))
    return BuiltHead(NAME, frozenset(finish), run, thresholds)
