"""Columns of categories → numbers, by looking values up in tables that the fitted encoder itself filled in.

Whatever an encoder does with dropped, rare, unknown or missing categories is in the tables, because it is asked once
for every value that can matter. This holds for encoders that treat each column alone; the proof finds out the others.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from model_manager.inference.compiled.form import NotCovered, NotVouched
from model_manager.signature import Array

MAX_VALUES: Final = 20_000
"""Above this many known categories, in all columns together, tables would take long to fill."""
_UNKNOWN: Final = "\x00unknown\x00"
"""A string that is nobody's category."""
_UNKNOWN_NUMBER: Final = -8.918273645e17
_NAN: Final = object()
"""Stands for NaN among the values of a table, since NaN is not equal to itself; None is a value like others."""


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
        self._tables = [self._tabulate(at, base) for at in range(len(known))]
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

    def _tabulate(self, at: int, base: list[Any]) -> tuple[Any, dict[Hashable, int], int, Array]:
        """Features that column `at` decides, value → row of the table, the row of unknown values or -1, the table."""
        values = self._known[at]
        rows = [[*base[:at], value, *base[at + 1 :]] for value in values]
        table = [*self._encode(rows)]
        codes: dict[Hashable, int] = {value: code for code, value in enumerate(values)}
        unknown = self._try([*base[:at], _UNKNOWN if isinstance(base[at], str) else _UNKNOWN_NUMBER, *base[at + 1 :]])
        for key, value in ((_NAN, np.nan), (None, None)):
            missing = self._try([*base[:at], value, *base[at + 1 :]])
            codes[key] = -1 if missing is None else len(table)
            if missing is not None:
                table.append(missing)
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
