"""Shapley values of any model, by asking it: what it answers when only some columns of a row are known.

The others are taken from background rows, and the answers averaged. All subsets of the columns are asked where the
budget allows; else antithetic permutations, each walked forwards and backwards, whose contributions add up as well.
"""

from collections.abc import Callable
from itertools import pairwise
from math import factorial
from typing import Final

import numpy as np

from model_manager.signature import Array, Layout, Rows, Signature

_MOST_BACKGROUND: Final = 20
_MOST_SUBSETS: Final = 12  # of so many columns: two to the power of that


class Coalitions:
    """Asks `answer`, which gives (rows, outputs) for rows, at most about `budget` rows for each row explained.

    `background` is cut to what the budget allows: at least one row, and one permutation both ways, are always asked.
    """

    def __init__(self, answer: Callable[[Rows], Array], signature: Signature, background: Rows, *, budget: int) -> None:
        self._answer = answer
        self._by_block = signature.layout is Layout.FRAME
        self._width = len(signature.columns or ())
        most = max(1, min(_MOST_BACKGROUND, len(background), budget // (2 * self._width)))
        self._background = Rows(tuple(block[:most] for block in background.blocks))
        self._pairs = max(1, budget // (2 * self._width * most))
        self.every_subset = self._width <= _MOST_SUBSETS and most << self._width <= budget
        self.base: Array = answer(self._background).mean(axis=0)

    def contributions(self, row: Rows) -> Array:
        """Contributions of (columns, outputs) for rows of length one."""
        return self._of_subsets(row) if self.every_subset else self._of_permutations(row)

    def _of_subsets(self, row: Rows) -> Array:
        width = self._width
        subsets = np.arange(1 << width)
        known = (subsets[:, None] >> np.arange(width)) & 1 == 1
        answers = self._answers(row, known)
        sizes = known.sum(axis=1)
        weight = np.array([factorial(size) * factorial(width - 1 - size) for size in range(width)]) / factorial(width)
        found = []
        for column in range(width):
            without = subsets[~known[:, column]]
            gains = answers[without | 1 << column] - answers[without]
            found.append(weight[sizes[without]] @ gains)
        return np.array(found)

    def _of_permutations(self, row: Rows) -> Array:
        random = np.random.default_rng(0)  # the same row is explained the same way
        found = np.zeros((self._width, len(self.base)))
        for _ in range(self._pairs):
            order = random.permutation(self._width)
            for walk in (order, order[::-1]):
                known = np.zeros((self._width + 1, self._width), dtype=bool)
                for step, column in enumerate(walk):
                    known[step + 1 :, column] = True
                for column, (before, after) in zip(walk, pairwise(self._answers(row, known)), strict=True):
                    found[column] += after - before
        return found / (2 * self._pairs)

    def _answers(self, row: Rows, known: Array) -> Array:
        """Mean answers of (subsets, outputs), where of each subset (subsets, columns) of the row is known."""
        subsets, count = len(known), len(self._background)
        if self._by_block:
            blocks = tuple(
                np.where(np.repeat(known[:, column], count), own[0], np.tile(other, subsets))
                for column, (own, other) in enumerate(zip(row.blocks, self._background.blocks, strict=True))
            )
        else:
            taken = np.repeat(known, count, axis=0)
            blocks = (np.where(taken, row.blocks[0], np.tile(self._background.blocks[0], (subsets, 1))),)
        answers = self._answer(Rows(blocks))
        mean: Array = answers.reshape(subsets, count, -1).mean(axis=1)
        return mean
