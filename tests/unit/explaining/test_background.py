"""What is usual is made up from a package's baseline: in its shares, of its types, and no row of the training data."""

import numpy as np
import pandas as pd
import pytest
from model_manager.drift.baseline import baseline_of
from model_manager.repository.metadata import Baseline, Golden, Histogram, Metadata
from model_manager.serving.background import ROWS, background_of
from model_manager.signature import Column, Layout, Output, Rows, Signature

OUTPUT = Output("predict", "FP64", (-1,))
FRAME = Signature(
    Layout.FRAME,
    (Column("plan", "BYTES", nullable=True), Column("visits", "INT64"), Column("age", "FP64", nullable=True)),
    True,
    (OUTPUT,),
)
RANDOM = np.random.default_rng(0)
TRAINED = Rows(
    (
        np.array(RANDOM.choice(["free", "01234", "paid"], 1000, p=[0.7, 0.2, 0.1]), dtype=object),
        RANDOM.integers(0, 1000, 1000),
        np.where(RANDOM.random(1000) < 0.25, np.nan, RANDOM.normal(40, 10, 1000)),
    )
)
GOLDEN = Golden(instances=[{"plan": "free", "visits": 3, "age": 41.0}], outputs={})


def test_columns_have_the_shares_of_the_baseline() -> None:
    made = background_of(Metadata(baseline=baseline_of(FRAME, TRAINED, {})), FRAME)
    assert made is not None
    plan, visits, age = made.blocks
    assert len(made) == ROWS
    assert {str(one): share for one, share in pd.Series(plan).value_counts(normalize=True).items()} == pytest.approx(
        {"free": 0.7, "01234": 0.2, "paid": 0.1}, abs=0.03
    )
    assert visits.dtype == np.int64
    assert visits.mean() == pytest.approx(TRAINED.blocks[1].mean(), rel=0.03)
    assert np.isnan(age).mean() == pytest.approx(0.25, abs=0.03)
    assert np.nanmean(age) == pytest.approx(40, abs=1)
    again = background_of(Metadata(baseline=baseline_of(FRAME, TRAINED, {})), FRAME)
    assert again is not None
    np.testing.assert_array_equal(again.blocks[1], visits)


def test_golden_rows_stand_in_where_the_baseline_does_not_tell() -> None:
    whole = baseline_of(FRAME, TRAINED, {})
    partly = Baseline(features={name: one for name, one in whole.features.items() if name != "age"}, outputs={})
    other = Baseline(features={**whole.features, "visits": Histogram(values=["many"], counts=[9])}, outputs={})
    for baseline in (None, partly, other):
        found = background_of(Metadata(baseline=baseline, golden=GOLDEN), FRAME)
        assert found is not None
        assert found.blocks[1].tolist() == [3]
    assert background_of(Metadata(), FRAME) is None


def test_a_tensor_is_made_up_too() -> None:
    signature = Signature(Layout.ARRAY, (Column("a", "FP64"), Column("b", "FP64")), False, (OUTPUT,))
    trained = Rows((np.c_[np.full(50, 7.0), RANDOM.normal(size=50)],))
    made = background_of(Metadata(baseline=baseline_of(signature, trained, {})), signature)
    assert made is not None
    assert made.blocks[0].shape == (ROWS, 2)
    assert made.blocks[0][:, 0].mean() == pytest.approx(7.0)
