"""Strings → the sparse matrix of their terms, counted and weighted as scikit-learn's vectorizers do.

Terms are cut by the vectorizer's own analyzer; what is left out are the checks, and exceptions for terms it never saw.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.sparsefuncs_fast import inplace_csr_row_normalize_l1, inplace_csr_row_normalize_l2

from model_manager.inference.compiled.form import NotCovered, NotVouched
from model_manager.inference.compiled.sparse_rows import SparseRows
from model_manager.inference.warning_filters import warnings_dropped
from model_manager.signature import Array, Rows

_NORMS: dict[str | None, Any] = {
    None: None,
    "l1": inplace_csr_row_normalize_l1,
    "l2": inplace_csr_row_normalize_l2,
}


class TextFront:
    """Strings made one matrix. `width`: how many columns; `rest`: transformers not done here."""

    def __init__(self, transformers: Sequence[Any], take: Callable[[Rows], Array]) -> None:
        """`take` gives the strings of rows. Raises NotCovered unless the first is a vectorizer that reads those."""
        vectorizer, *others = transformers
        self._take = take
        if type(vectorizer) not in (CountVectorizer, TfidfVectorizer):
            raise NotCovered(f"{type(vectorizer).__name__} has no equivalent here")
        if vectorizer.input != "content":
            raise NotCovered(f"its rows are no texts but input={vectorizer.input!r}")
        if vectorizer.dtype not in (np.float64, np.int64):
            raise NotCovered(f"it counts in {np.dtype(vectorizer.dtype).name}")
        with warnings_dropped():  # of stop words, which the author saw when it was fitted
            self._analyze: Callable[[str], Any] = vectorizer.build_analyzer()
        self._vocabulary: dict[str, int] = vectorizer.vocabulary_
        if any(type(number) is not int for number in vectorizer.vocabulary_.values()):
            # Limited vocabularies number terms by numpy's integers, which are slow to count and to sort.
            self._vocabulary = {term: int(number) for term, number in vectorizer.vocabulary_.items()}
        self._binary = bool(vectorizer.binary)
        self.width = len(self._vocabulary)
        self._weigh: list[Callable[[SparseRows], None]] = []
        if isinstance(vectorizer, TfidfVectorizer):
            self._weigh += _weights(vectorizer._tfidf)
        self.rest = list(others)
        self._take_over()

    def __call__(self, rows: Rows) -> SparseRows:
        """Cut, count and weigh. Raises NotVouched for anything that is no string."""
        matrix = self._count(self._take(rows))
        for weigh in self._weigh:
            weigh(matrix)
        return matrix

    def _take_over(self) -> None:
        """Do what can be done with terms still sparse: weights, and choosing columns before anything is weighed."""
        while self.rest:
            following = self.rest[0]
            if type(following) is TfidfTransformer:
                self._weigh += _weights(following)
            elif isinstance(following, SelectorMixin):
                self._weigh.append(_chooser(following, self.width))
                self.width = int(following.get_support().sum())
            else:
                return
            del self.rest[0]

    def _count(self, documents: Array) -> SparseRows:
        analyze, number_of = self._analyze, self._vocabulary.get
        columns: list[int] = []
        counts: list[int] = []
        starts = [0]
        for document in documents.tolist():
            if type(document) is not str:
                raise NotVouched
            try:
                seen: Counter[Any] = Counter(map(number_of, analyze(document)))
            except Exception:  # of a tokenizer of somebody else's: scikit-learn asks it again, and tells what it raised
                raise NotVouched from None
            seen.pop(None, None)  # what it never saw
            columns += (found := sorted(seen))
            counts += map(seen.__getitem__, found)
            starts.append(len(columns))
        values = np.ones(len(counts)) if self._binary else np.array(counts, dtype=np.float64)
        vocabulary = len(self._vocabulary)
        return SparseRows(np.array(starts, dtype=np.int32), np.array(columns, dtype=np.int32), values, vocabulary)


def _weights(transformer: TfidfTransformer) -> list[Callable[[SparseRows], None]]:
    idf = transformer.idf_ if hasattr(transformer, "idf_") else None
    sublinear, norm = transformer.sublinear_tf, transformer.norm
    if norm not in _NORMS:
        raise NotCovered(f"norm={norm!r} has no equivalent here")
    normalize = _NORMS[norm]
    if idf is not None and (idf.dtype != np.float64 or not np.isfinite(idf).all()):
        raise NotCovered("its weights are no finite doubles")

    def weigh(matrix: SparseRows) -> None:
        values = matrix.data
        if sublinear:
            np.log(values, values)
            values += 1.0
        if idf is not None:
            values *= idf[matrix.indices]
        if normalize is not None:
            normalize(matrix)

    return [weigh]


def _chooser(selector: SelectorMixin, width: int) -> Callable[[SparseRows], None]:
    support = selector.get_support()
    if len(support) != width:
        raise NotCovered("it chooses among other columns")
    number = np.full(width, -1, dtype=np.int32)
    number[support] = np.arange(support.sum(), dtype=np.int32)
    kept_width = int(support.sum())

    def choose(matrix: SparseRows) -> None:
        columns = number[matrix.indices]
        kept = columns >= 0
        before = np.concatenate([[0], np.cumsum(kept)])
        matrix.indptr = before[matrix.indptr].astype(np.int32)
        matrix.indices, matrix.data, matrix.shape = columns[kept], matrix.data[kept], (len(matrix), kept_width)

    return choose
