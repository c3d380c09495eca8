"""Matrices of text: rows in which few of many values are not 0, multiplied as scipy does it but without its checks."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import _sparsetools

from model_manager.signature import Array


class SparseRows:
    """Compressed rows with sorted columns, named as in scipy's csr arrays; every value is finite."""

    __slots__ = ("data", "indices", "indptr", "shape")

    def __init__(self, indptr: Array, indices: Array, data: Array, width: int) -> None:
        """`indptr` and `indices` are int32, `data` float64."""
        self.indptr = indptr
        self.indices = indices
        self.data = data
        self.shape = (len(indptr) - 1, width)

    def __len__(self) -> int:
        return self.shape[0]

    def __matmul__(self, weights: Array) -> Array:
        """Multiply by (width, targets) weights, which are copied unless they lie row after row."""
        count, width = self.shape
        targets = weights.shape[1]
        answer = np.zeros((count, targets))
        flat = weights.ravel()
        _sparsetools.csr_matvecs(count, width, targets, self.indptr, self.indices, self.data, flat, answer.ravel())
        return answer

    def toarray(self) -> Array:
        """The same matrix with its zeros."""
        answer = np.zeros(self.shape)
        answer[np.repeat(np.arange(self.shape[0]), np.diff(self.indptr)), self.indices] = self.data
        return answer


def side_by_side(parts: Sequence[SparseRows | Array]) -> SparseRows:
    """Join matrices of as many rows; dense ones must be finite."""
    rows: list[Array] = []
    columns: list[Array] = []
    values: list[Array] = []
    width = 0
    for part in parts:
        if isinstance(part, SparseRows):
            rows.append(np.repeat(np.arange(len(part)), np.diff(part.indptr)))
            columns.append(part.indices + width)
            values.append(part.data)
        else:
            at, column = np.nonzero(part)
            rows.append(at)
            columns.append(column + width)
            values.append(part[at, column])
        width += part.shape[1]
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")  # parts come in the order of their columns
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(parts[0])))]).astype(np.int32)
    indices = np.concatenate(columns)[order].astype(np.int32)
    return SparseRows(starts, indices, np.concatenate(values)[order], width)
