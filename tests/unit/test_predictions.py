"""Predictions are counted one a row: labels by name, numbers by bucket, in small batches as in large ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.metrics.catalogue import predictions
from model_manager.metrics.instruments import Instrument
from model_manager.metrics.predictions import Distribution, distribution_of
from model_manager.signature import Array, Datatype, Layout, Output, Signature

from tests.scrape import value

VERSION = {"model_name": "m", "model_version": "1"}


class Counted:
    """A version's distribution on instruments of its own."""

    def __init__(
        self,
        *classes: object,
        datatype: Datatype = "BYTES",
        name: str = "predict",
        shape: tuple[int, ...] = (-1,),
        edges: list[float] | None = None,
    ) -> None:
        self.labels = Instrument(predictions.PREDICTIONS)
        self.values = Instrument(predictions.PREDICTION_VALUE)
        output = Output(name, datatype, shape, classes)  # type: ignore[arg-type]
        self.distribution: Distribution | None = distribution_of(
            Signature(Layout.ARRAY, None, False, (output,)),
            edges,
            labels=self.labels,
            values=self.values,
            version=("m", "1"),
        )

    def count(self, values: list[object] | Array) -> None:
        assert self.distribution is not None
        self.distribution.count(np.asarray(values))

    def label(self, label: str) -> float | None:
        return value([self.labels.family()], "model_manager_predictions_total", **VERSION, label=label)

    def bucket(self, le: str) -> float | None:
        return value([self.values.family()], "model_manager_prediction_value_bucket", **VERSION, le=le)


@pytest.mark.parametrize("times", [1, 20])
def test_labels_are_counted_by_name(times: int) -> None:
    counted = Counted("no", "yes")
    assert counted.label("yes") == 0  # there from the start, so that a rate has something to start from
    counted.count(["yes", "no", "yes"] * times)
    assert (counted.label("yes"), counted.label("no")) == (2 * times, times)


@pytest.mark.parametrize("times", [1, 20])
def test_labels_beyond_the_limit_and_undeclared_ones_share_a_series(times: int) -> None:
    counted = Counted(*range(predictions.LABELS_SHOWN + 5), datatype="INT64")
    counted.count([0, predictions.LABELS_SHOWN - 1, predictions.LABELS_SHOWN, 999] * times)
    assert counted.label("0") == counted.label("49") == times
    assert counted.label("other") == 2 * times
    assert len(counted.labels.family().series) == predictions.LABELS_SHOWN + 1


@given(st.lists(st.one_of(st.floats(-50, 50), st.sampled_from([0.0, 1.5, 3.0])), max_size=60))
def test_numbers_fall_into_the_buckets_of_the_baseline_whatever_the_size_of_the_batch(numbers: list[float]) -> None:
    whole, single = (Counted(datatype="FP64", edges=[0.0, 1.5, 3.0]) for _ in range(2))
    whole.count(np.array(numbers, float))
    for number in numbers:
        single.count([number])
    for bound in (0.0, 1.5, 3.0):
        expected = sum(number <= bound for number in numbers)
        assert whole.bucket(str(bound)) == single.bucket(str(bound)) == expected
    assert whole.bucket("+Inf") == single.bucket("+Inf") == len(numbers)


@pytest.mark.parametrize("times", [1, 20])
def test_what_is_no_number_is_not_counted(times: int) -> None:
    counted = Counted(datatype="FP64")
    counted.count(np.array([1.0, np.nan, np.inf, -np.inf] * times))
    assert counted.bucket("+Inf") == times


@pytest.mark.parametrize(
    "counted",
    [
        Counted(datatype="FP64", name="predict_proba", shape=(-1, 2)),
        Counted(datatype="FP64", shape=(-1, 3)),
        Counted(datatype="BYTES"),
    ],
    ids=["no predict", "several values a row", "strings that were not declared"],
)
def test_outputs_without_one_known_kind_of_value_a_row_are_not_counted(counted: Counted) -> None:
    assert counted.distribution is None
