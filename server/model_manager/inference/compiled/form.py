"""The vocabulary of this room: a form answers rows as scikit-learn would; a front makes its matrix, a head its answers.

In the flow: Rows → front → matrix → **head** → one array per output.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from model_manager.signature import Array, Rows

Answers: TypeAlias = dict[str, Array]
Given: TypeAlias = Any
"""What a head is given: a dense matrix, SparseRows, or Rows where the parts of an ensemble have their own fronts."""
Front: TypeAlias = Callable[[Rows], Given]
Head: TypeAlias = Callable[[Given, tuple[str, ...]], Answers]


class NotVouched(Exception):
    """Rows a form does not vouch for, such as infinities: scikit-learn answers them."""


class NotCovered(Exception):
    """An estimator, or a part of it, for which there is no equivalent of a kind; the text says which part."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a feature comes from: client value = feature * `scale` + `shift` of input column `column`.

    `affine`: so for every number, not only for those within some bounds.
    """

    column: int
    scale: float = 1.0
    shift: float = 0.0
    affine: bool = True


@dataclass(frozen=True, slots=True)
class Split:
    """A value of an input column at which some tree decides."""

    column: int
    value: float


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is known at build time of the matrices a head will be given.

    `nullable`: NaN may occur. `sparse`: they are SparseRows, which are finite.
    """

    width: int
    nullable: bool = False
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class BuiltHead:
    """A head, its name, the outputs it can answer, and the (feature, threshold) pairs at which it decides."""

    name: str
    outputs: frozenset[str]
    run: Head
    thresholds: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """One way to compute some outputs of a version; `predict` raises NotVouched for rows it leaves to scikit-learn."""

    name: str
    outputs: frozenset[str]
    predict: Callable[[Rows, tuple[str, ...]], Answers]
    splits: tuple[Split, ...] = ()


def compose(front: Front, head: BuiltHead, origins: list[Origin | None]) -> Form:
    """Put a head behind a front; `origins` says where each feature of the matrix comes from."""
    run = head.run

    def predict(rows: Given, outputs: tuple[str, ...]) -> Answers:
        return run(front(rows), outputs)

    splits = tuple(
        Split(origin.column, threshold * origin.scale + origin.shift)
        for feature, threshold in head.thresholds
        if (origin := origins[feature]) is not None
    )
    return Form(head.name, head.outputs, predict, splits)


def require_finite(X: Array) -> None:
    """Raise NotVouched if a value is NaN or infinite; about one microsecond for a row."""
    # The sum of squares of finite values is finite, unless they are huge: only then every value is looked at.
    if not np.vdot(X, X) < np.inf and not np.isfinite(X).all():
        raise NotVouched


def refuse_infinite(X: Array) -> None:
    """Raise NotVouched if a value is infinite; NaN passes."""
    if not np.vdot(X, X) < np.inf and np.isinf(X).any():
        raise NotVouched
