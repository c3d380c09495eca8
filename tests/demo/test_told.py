"""The demo ends well only where everybody says the same."""

from dataclasses import replace

import pytest

from tests.demo.stage import Verdict
from tests.demo.story import Told

STEADY = Told({"1": [], "2": []}, {"1": 0.96, "2": 0.96}, {}, Verdict(0, {"verdict": "no worse", "checks": []}))
DRIFTS = [f"The feature monthly_charges of churn, version {version}, is no longer as in training." for version in "12"]
WORSE = Told(
    {"1": ["monthly_charges"], "2": ["monthly_charges", "predict"]},
    {"1": 0.96, "2": 0.84},
    {"ModelDrifts": DRIFTS, "ModelAnswersWorse": ["Version 2 of churn is wrong more often."]},
    Verdict(1, {"verdict": "worse", "checks": [{"name": "accuracy", "outcome": "worse", "why": "84% right"}]}),
)


def test_it_is_one_or_the_other() -> None:
    assert (STEADY.well, STEADY.worse) == (True, False)
    assert (WORSE.well, WORSE.worse) == (False, True)
    assert WORSE.verdict.words == "worse (exit code 1); accuracy: 84% right"


@pytest.mark.parametrize(
    "otherwise",
    [
        replace(WORSE, drifted={"1": [], "2": ["monthly_charges"]}),
        replace(WORSE, accuracy={"1": 0.96, "2": 0.95}),
        replace(WORSE, firing={"ModelDrifts": DRIFTS}),
        replace(WORSE, firing={**WORSE.firing, "ModelDrifts": DRIFTS[:1]}),
        replace(WORSE, firing={**WORSE.firing, "ModelAnswersWorse": ["Version 1 of churn is wrong more often."]}),
        replace(WORSE, verdict=Verdict(0, {})),
        replace(WORSE, verdict=Verdict(2, {})),
    ],
)
def test_nobody_may_be_missing(otherwise: Told) -> None:
    assert not otherwise.worse


@pytest.mark.parametrize(
    "otherwise",
    [
        replace(STEADY, drifted=WORSE.drifted),
        replace(STEADY, firing={"ModelDrifts": DRIFTS}),
        replace(STEADY, verdict=Verdict(3, {"verdict": "not enough data", "checks": []})),
    ],
)
def test_nobody_may_complain_too_soon(otherwise: Told) -> None:
    assert not otherwise.well
