"""Columns of categories → numbers, by looking values up in tables that the fitted encoder itself filled in.

Whatever an encoder does with dropped, rare, unknown or missing categories is in the tables, because it is asked once
for every value that can matter. This holds for encoders that treat each column alone; the proof finds out the others.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from model_manager.inference.compiled.form import NotCovered, NotVouched
from model_manager.signature import Array

MAX_VALUES: Final = 20_000
"""Above this many known categories, in all columns together, tables would take long to fill."""
MAX_REFUSALS: Final = 64
"""An encoder of more columns than this is not asked about each of them."""
MAX_CELLS: Final = 32_000_000
"""What is held while tables are filled, in numbers of eight bytes."""
_CHUNK: Final = 2_000_000
_UNKNOWN: Final = "\x00unknown\x00"
"""A string that is nobody's category."""
_UNKNOWN_NUMBER: Final = -8.918273645e17
_NAN: Final = object()
"""Stands for NaN among the values of a table, since NaN is not equal to itself; None is a value like others."""

_Table: TypeAlias = tuple[Any, dict[Hashable, int], int, Array]
"""Features that a column decides, value → row of the table, the row of unknown values or -1, the table."""


class CategoryTable:
    """The tables of a chain of fitted transformers over a few columns.

    `columns` are arrays (rows,) of strings or numbers; calling it gives a matrix (rows, width) of float64.
    """

    def __init__(self, chain: Sequence[Any], names: list[str] | None) -> None:
        """`names` are the columns' names if the chain was fitted on a DataFrame. Raises NotCovered."""
        self._chain = chain
        self._names = names
        categories = _categories(chain)
        # Encoders look for missing values by the dtype they were fitted on.
        self._dtypes = [np.dtype(object if values.dtype.kind in "OUS" else np.float64) for values in categories]
        known = [[v for v in values.tolist() if v is not None and v == v] for values in categories]
        if not all(known):
            raise NotCovered("a column has no known category")
        if sum(map(len, known)) > MAX_VALUES:
            raise NotCovered(f"its encoder knows more than {MAX_VALUES} categories")
        self._known = known
        base = [values[0] for values in known]
        start = self._encode([base])
        self._constants = start[0]
        if (sum(map(len, known)) + 2 * len(known)) * start.shape[1] > MAX_CELLS:
            raise NotCovered(f"its encoder knows too many categories: tables would take more than {MAX_CELLS} numbers")
        self._tables = self._tabulate(base)
        self.width = start.shape[1]

    def __call__(self, columns: Sequence[Array]) -> Array:
        """Look rows up. Raises NotVouched for a value that the encoder refuses."""
        count = len(columns[0])
        answer = np.empty((count, self.width))
        answer[:] = self._constants
        for column, (features, codes, unknown, table) in zip(columns, self._tables, strict=True):
            if count == 1:
                value = column[0]
                code = codes.get(value if value == value else _NAN, unknown)
                if code < 0:
                    raise NotVouched
                answer[0, features] = table[code]
                continue
            found = [codes.get(value if value == value else _NAN, unknown) for value in column.tolist()]
            if min(found, default=0) < 0:
                raise NotVouched
            answer[:, features] = table[found]
        return answer

    def _tabulate(self, base: list[Any]) -> list[_Table]:
        """Fill in the table of every column, asking for many columns at once: a wide encoder is slow to start."""
        rows = [_with_value(base, at, value) for at, values in enumerate(self._known) for value in values]
        found = iter(self._in_chunks(rows))
        unknown = self._tries(base, [_UNKNOWN if isinstance(value, str) else _UNKNOWN_NUMBER for value in base])
        nans = self._tries(base, [np.nan] * len(base))
        nones = self._tries(base, [None] * len(base), needed=False)
        return [
            self._table(values, [next(found) for _ in values], (nans[at], nones[at]), unknown[at])
            for at, values in enumerate(self._known)
        ]

    def _table(
        self, values: list[Any], table: list[Array], missing: tuple[Array | None, Array | None], unknown: Array | None
    ) -> _Table:
        """`missing`: what the encoder answers for NaN and for None; None for what it refuses, as `unknown` is."""
        codes: dict[Hashable, int] = {value: code for code, value in enumerate(values)}
        for key, answer in zip((_NAN, None), missing, strict=True):
            codes[key] = -1 if answer is None else len(table)
            if answer is not None:
                table.append(answer)
        code_of_unknown = -1
        if unknown is not None:
            code_of_unknown = len(table)
            table.append(unknown)
        whole = np.stack(table)
        differs = ~((whole == self._constants) | (np.isnan(whole) & np.isnan(self._constants)))
        features = np.flatnonzero(differs.any(axis=0))
        chosen: Any = features
        if len(features) and np.array_equal(features, np.arange(features[0], features[-1] + 1)):
            chosen = slice(int(features[0]), int(features[-1]) + 1)  # written faster than by index
        return chosen, codes, code_of_unknown, np.ascontiguousarray(whole[:, features])

    def _tries(self, base: list[Any], values: list[Any], *, needed: bool = True) -> list[Array | None]:
        """What the encoder answers with one column's value replaced, column by column; None where it refuses.

        Raises NotCovered where columns are too many to be asked one by one, if the answers are `needed`.
        """
        rows = [_with_value(base, at, value) for at, value in enumerate(values)]
        try:
            return list(self._in_chunks(rows))
        except Exception:
            if len(rows) > MAX_REFUSALS and not needed:
                return [None] * len(rows)
            if len(rows) > MAX_REFUSALS:
                raise NotCovered(f"its encoder refuses values, in one of more than {MAX_REFUSALS} columns") from None
        return [self._try(row) for row in rows]

    def _in_chunks(self, rows: list[list[Any]]) -> Iterator[Array]:
        size = max(1, _CHUNK // max(len(rows[0]), len(self._constants)))
        for start in range(0, len(rows), size):
            yield from self._encode(rows[start : start + size])

    def _try(self, row: list[Any]) -> Array | None:
        try:
            answer: Array = self._encode([row])[0]
        except Exception:
            return None
        return answer

    def _encode(self, rows: list[list[Any]]) -> Array:
        X: Any = np.array(rows, dtype=np.result_type(*self._dtypes))
        if self._names is not None:
            X = pd.DataFrame(X, columns=self._names, dtype=X.dtype).astype(
                dict(zip(self._names, self._dtypes, strict=True))
            )
        for transformer in self._chain:
            if transformer is not None and transformer != "passthrough":
                X = transformer.transform(X)
        answer = np.asarray(X.toarray() if hasattr(X, "toarray") else X)
        if answer.dtype.kind not in "fiub":
            raise NotCovered("its encoder does not answer numbers")
        return answer.astype(np.float64)


def _with_value(row: list[Any], at: int, value: Any) -> list[Any]:
    return [*row[:at], value, *row[at + 1 :]]


def _categories(chain: Sequence[Any]) -> list[Array]:
    """The categories of the first transformer that has any."""
    for transformer in chain:
        categories = getattr(transformer, "categories_", None)
        if isinstance(categories, list):
            found = [np.asarray(values) for values in categories]
            if any(values.dtype.kind == "M" or isinstance(values[0], pd.Timestamp) for values in found if len(values)):
                raise NotCovered("its categories are dates and times")
            return found
    raise NotCovered("it has no encoder of categories")
