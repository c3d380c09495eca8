"""Rows on which a form must agree with scikit-learn: ordinary ones, and every edge that an estimator may have.

Deterministic: the same version is always proved on the same rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from model_manager.inference.compiled.form import Split
from model_manager.inference.compiled.proof.scales import Scales
from model_manager.signature import DTYPES, LARGEST_EXACT, Array, Datatype, Layout, Rows, Signature

ORDINARY: Final = 1000
MAX_SPLITS: Final = 400
_EDGES: Final = 48
_ALIEN: Final = "\x00alien\x00"
"""A string that no encoder knows; not the one that fronts try out."""
_ODD_TEXTS: Final = (
    "",
    " ",
    "\t\n",
    "!?!",
    "a",
    "…—“”",
    "été ÉTÉ",
    "日本語 テキスト",
    "🙂 🙂",
    "x-y_z it's 3.14",
    "\x00",
    "0 00 1e9",
)
_MAGNITUDES: Final = (1e-300, 1e-30, 1e-8, 1e3, 1e6, 1e9, 1e15, 1e30, 1e38, 1e100, 1e300)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one kind.

    `plain`: rows such as clients send; a form that leaves all of them open proves nothing. `apart`: they are never
    mixed with others, since forms leave them, and whatever batch they are in, to scikit-learn.
    """

    name: str
    rows: Rows
    plain: bool = False
    apart: bool = False


class RowMaker:
    """Makes rows of one signature, column by column; `scales` says where numbers usually lie."""

    def __init__(self, signature: Signature, scales: Scales, *, seed: int = 0) -> None:
        assert signature.columns is not None, "rows of unknown width cannot be made up"
        self._signature = signature
        self._columns = signature.columns
        self._scales = scales
        self._random = np.random.default_rng(seed)

    def rows(self, columns: Sequence[Array]) -> Rows:
        """Lay (rows,) columns out as the signature says."""
        if self._signature.layout is Layout.FRAME:
            return Rows(
                tuple(
                    _cast(values, column.datatype, self._signature.dtype_of(column))
                    for values, column in zip(columns, self._columns, strict=True)
                )
            )
        if self._signature.layout is Layout.TEXT:
            return Rows((columns[0].astype(object),))
        dtype = self._signature.dtype
        block = np.empty((len(columns[0]), len(columns)), dtype=dtype)
        for at, values in enumerate(columns):
            block[:, at] = _cast(values, self._signature.datatype, dtype)
        return Rows((block,))

    def ordinary(self, count: int) -> list[Array]:
        """Columns of values that are likely: near where the estimator was fitted, known categories."""
        return [self._likely(at, count) for at in range(len(self._columns))]

    def _likely(self, at: int, count: int) -> Array:
        column, random = self._columns[at], self._random
        if terms := self._scales.terms.get(at):
            return self._texts(terms, count)
        if column.moments is not None:
            days = random.integers(0, 20_000, count).astype("datetime64[D]")
            return days.astype(column.moments.dtype)
        known = column.categories or self._scales.known.get(at, ())
        if known:
            return np.array(known, dtype=object)[random.integers(len(known), size=count)]
        if column.datatype == "BYTES":
            return np.array([_ALIEN, "", "a", "b"], dtype=object)[random.integers(4, size=count)]
        centre, spread = self._scales.centre[at], self._scales.spread[at]
        values = centre + spread * random.standard_normal(count) * random.choice([0.5, 1.0, 3.0], count)
        rounded: Array = np.where(random.random(count) < 0.15, np.round(values), values)
        return rounded

    def _texts(self, terms: tuple[str, ...], count: int) -> Array:
        """Texts of some known terms and some that nobody knows, now and then in capitals, a few of them empty."""
        random = self._random
        texts = np.empty(count, dtype=object)
        for at in range(count):
            words = [terms[number] for number in random.integers(len(terms), size=random.integers(25))]
            words += [f"unheard{number}" for number in random.integers(9, size=random.integers(4))]
            random.shuffle(words)
            text = random.choice([" ", ", ", "\n"]).join(words)
            texts[at] = text.upper() if random.random() < 0.2 else text
        return texts

    def odd_texts(self) -> Rows:
        """Texts of no word, of one word many times, of other scripts, and of what tokenizers stumble over."""
        columns = self.ordinary(len(_ODD_TEXTS) + 1)
        for at, terms in self._scales.terms.items():
            columns[at][:] = [*_ODD_TEXTS, f"{terms[0]} " * 500]
        return self.rows(columns)

    def texts(self) -> bool:
        """Whether some column holds texts of known terms."""
        return bool(self._scales.terms)

    def numeric(self) -> list[int]:
        """Positions of the columns that hold numbers which are no categories."""
        return [
            at
            for at, column in enumerate(self._columns)
            if column.datatype not in ("BYTES", "BOOL") and not column.categories and at not in self._scales.known
        ]

    def categorical(self) -> list[int]:
        """Positions of the columns of strings or known categories."""
        numeric = set(self.numeric())
        return [at for at, column in enumerate(self._columns) if at not in numeric and column.moments is None]

    def nullable(self) -> list[int]:
        """Positions of the columns in which a value may be missing."""
        return [at for at, column in enumerate(self._columns) if column.nullable]

    def with_values(self, count: int, at: Sequence[int], values: Array) -> Rows:
        """Ordinary rows in which the columns `at` hold (count,) `values` instead."""
        columns = self.ordinary(count)
        for position in at:
            columns[position] = values
        return self.rows(columns)

    def with_missing(self, count: int, at: Sequence[int], *, share: float) -> Rows:
        """Ordinary rows in which a share of the values of the columns `at` is missing."""
        columns = self.ordinary(count)
        for position in at:
            if self._columns[position].moments is None:
                columns[position] = columns[position].astype(object)
            columns[position][self._random.random(count) < share] = self._columns[position].missing_value
        return self.rows(columns)

    def unknown(self, at: int) -> Rows:
        """Ordinary rows in which one column of categories holds values that no encoder knows."""
        values = np.empty(8, dtype=object)
        text = self._columns[at].datatype == "BYTES"
        values[:] = [_ALIEN, "", " ", "A", "0", "nan", "None", "ümläut"] if text else [1e9, -1, 0.5, 77, -7, 1e3, 3, 2]
        return self.with_values(8, [at], values)

    def split_rows(self, splits: Sequence[Split]) -> Rows:
        """Rows that meet each split exactly, and on either side in float64 and in float32."""
        chosen = [splits[at] for at in np.linspace(0, len(splits) - 1, min(len(splits), MAX_SPLITS)).astype(int)]
        columns = self.ordinary(len(chosen) * 5)
        for index, split in enumerate(chosen):
            columns[split.column] = columns[split.column].astype(np.float64)
            columns[split.column][index * 5 : index * 5 + 5] = _around(split.value)
        return self.rows(columns)


def groups(maker: RowMaker, examples: Rows | None, splits: Sequence[Split]) -> Iterator[Group]:
    """Yield every kind of row, the plain ones first."""
    if examples is not None:
        yield Group("example rows", examples, plain=True)
    ordinary = maker.rows(maker.ordinary(ORDINARY))
    yield Group("ordinary rows", ordinary, plain=True)
    yield Group(
        "duplicate rows", Rows(tuple(np.repeat(block[:4], 16, axis=0) for block in ordinary.blocks)), plain=True
    )
    if splits:
        yield Group("split points", maker.split_rows(splits))
    if maker.texts():
        yield Group("odd texts", maker.odd_texts(), plain=True)
    yield from _numeric_edges(maker)
    yield from _missing(maker)
    for at in maker.categorical():
        yield Group("unknown categories", maker.unknown(at))


def _numeric_edges(maker: RowMaker) -> Iterator[Group]:
    numeric = maker.numeric()
    if not numeric:
        return
    yield Group("zeros", maker.with_values(4, numeric, np.array([0.0, -0.0, 0.0, 0.0])))
    for magnitude in _MAGNITUDES:
        values = np.array([magnitude, -magnitude])
        yield Group(f"magnitude {magnitude:g}", maker.with_values(2, numeric, values))
        yield Group(f"one of magnitude {magnitude:g}", maker.with_values(2, numeric[:1], values))
    for value in (np.inf, -np.inf):
        yield Group("infinity", maker.with_values(1, numeric[-1:], np.array([value])), apart=True)


def _missing(maker: RowMaker) -> Iterator[Group]:
    nullable = maker.nullable()
    if not nullable:
        return
    yield Group("some missing", maker.with_missing(_EDGES, nullable, share=0.3), plain=True)
    yield Group("all missing", maker.with_missing(2, nullable, share=1.0))
    for at in nullable[:_EDGES]:
        yield Group("one missing", maker.with_missing(2, [at], share=1.0))


def _around(value: float) -> list[float]:
    single = np.float32(value)
    return [
        value,
        float(np.nextafter(value, -np.inf)),
        float(np.nextafter(value, np.inf)),
        float(np.nextafter(single, np.float32(-np.inf))),
        float(np.nextafter(single, np.float32(np.inf))),
    ]


def _cast(values: Array, datatype: Datatype, dtype: np.dtype[Any]) -> Array:
    """Make values of a datatype of any numbers, for a block of `dtype`; what is missing stays so if that has a NaN."""
    if dtype.kind == "M":
        return values.astype(dtype)
    if dtype.kind == "O":
        own = {"b": bool, "i": int, "u": int}.get(DTYPES[datatype].kind)
        boxed: Array = values.astype(object)
        if own is not None:  # as JSON brings them
            boxed[:] = [value if value is None or value != value else own(value) for value in boxed]
        return boxed
    numbers = values.astype(np.float64)
    kind = DTYPES[datatype].kind
    if kind not in "iub":
        return numbers.astype(dtype)
    missing = np.isnan(numbers)
    if kind == "b":
        cast = (numbers > 0).astype(dtype)
    else:
        info = np.iinfo(DTYPES[datatype])
        whole = np.nan_to_num(np.round(numbers), posinf=0, neginf=0)
        cast = np.clip(whole, max(info.min, -LARGEST_EXACT), min(info.max, LARGEST_EXACT)).astype(dtype)
    if dtype.kind == "f":
        cast[missing] = np.nan
    return cast
