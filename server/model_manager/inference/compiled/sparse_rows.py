"""Matrices of text: rows in which few of many values are not 0, multiplied as scipy does it but without its checks."""

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
