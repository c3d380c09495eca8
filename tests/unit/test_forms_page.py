"""The speed-ups in docs/performance.md are those of the run that it names, and every form is worth its lines."""

import json

import pytest

from tools.forms_table import PAGE, RESULT, page_with, table

RUN = json.loads(RESULT.read_text())


def test_the_table_of_forms_is_that_of_the_run() -> None:
    page = PAGE.read_text()
    assert page_with(table(RUN), page) == page


def test_every_form_is_faster_for_some_size_and_slower_for_none() -> None:
    for one in RUN["estimators"]:
        assert not one["form"].startswith("none"), one
        assert max(one["speedup"].values()) >= 1.5, one
        assert min(one["speedup"].values()) >= 0.9, one
        assert one["largest_relative_difference"] < 1e-9, one


def test_the_table_says_form_time_and_speed_up_to_two_digits() -> None:
    speedup = {"1": 19.4, "8": 9.96, "64": 1.26, "512": 1432.0}
    one = {"estimator": "SVC", "form": "numpy", "sklearn_us": {"1": 1234.4}, "speedup": speedup}
    assert table({"estimators": [one]}).splitlines()[-1] == "| SVC | `numpy` | 1,234 µs | 19× | 10.0× | 1.3× | 1,432× |"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="forms: made by"):
        page_with("table", "nothing here")
