"""Rows of numbers as a block: what the quick way makes of parsed values is what numpy makes of them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.codecs.cells import FLOAT_LIMITS, INTEGER_BOUNDS
from model_manager.codecs.typed_decoding import numbers_store
from model_manager.signature import DTYPES, Column, Datatype

NUMBERS: list[Datatype] = [
    name for name, dtype in DTYPES.items() if name != "BOOL" and dtype.kind in "iuf" and name != "FP16"
]


def values(datatype: Datatype) -> st.SearchStrategy[Any]:
    """What the typed decoders let through: those of a JSON integer, of any float, and true and false."""
    if datatype in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[datatype]
        return st.integers(low, high) | st.booleans()
    limit = FLOAT_LIMITS.get(datatype)
    return st.floats(None if limit is None else -limit, limit, allow_nan=False) | st.booleans()


@pytest.mark.parametrize("datatype", NUMBERS)
@given(data=st.data())
def test_the_block_is_numpys_and_may_be_written_to(datatype: Datatype, data: st.DataObject) -> None:
    width, count = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 4))
    rows = [tuple(data.draw(st.lists(values(datatype), min_size=width, max_size=width))) for _ in range(count)]
    store = numbers_store(DTYPES[datatype], [Column(str(at), datatype) for at in range(width)])
    assert store is not None
    block, expected = store(rows), np.array(rows, DTYPES[datatype])
    assert (block.dtype, block.shape, block.flags.writeable) == (expected.dtype, expected.shape, True)
    assert block.tobytes() == expected.tobytes()


def test_there_is_none_for_what_may_be_missing_or_has_no_size() -> None:
    for dtype, column in (
        (DTYPES["FP64"], Column("a", "FP64", nullable=True)),
        (np.dtype(object), Column("a", "BYTES")),
        (DTYPES["BOOL"], Column("a", "BOOL")),
    ):
        assert numbers_store(dtype, [column]) is None
    assert numbers_store(DTYPES["FP64"], []) is None
