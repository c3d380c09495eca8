"""Conditions on metrics: what they mean, what of them is refused and where, and that they cannot do anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.errors import GateInvalid
from model_manager.evaluation.gates import Chosen, read_gate
from model_manager.evaluation.intervals import Figure

FIGURES = {
    "accuracy": Figure(0.85, 0.8, 0.9),
    "mae": Figure(1e3, 900.0, 1100.0),
    "bias": Figure(-0.5),
    "roc_auc": Figure(None),
}


def lookup(segment: Chosen | None, metric: str) -> Figure:
    if segment is None:
        return FIGURES[metric]
    if segment != ("my region", "north east"):
        raise KeyError(f"no segment {segment}")
    return Figure(0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("accuracy < 0.9", True),
        ("accuracy<0.85", False),
        ("accuracy <= 0.85", True),
        ("0.85 == accuracy", True),
        ("accuracy != 0.85", False),
        ("accuracy.low < 0.8", False),
        ("accuracy.high > .89", True),
        ("mae > 1.2e3", False),
        ("bias < -0.4", True),
        ("accuracy < 0.8 or mae > 999", True),
        ("accuracy < 0.8 and mae > 999", False),
        ("accuracy > 0.8 or mae > 999 and bias > 0", True),  # `and` binds more tightly
        ("(accuracy > 0.8 or mae > 999) and bias > 0", False),
        ("not accuracy < 0.8", True),
        ("not (accuracy > 0.8 and bias < 0)", False),
        ("not not accuracy > 0.8", True),
        ("segment[my region=north east].accuracy.low < 0.5", True),
        ('segment["my region"="north east"].accuracy > 0.5', False),
        ("roc_auc < 0.5", None),
        ("bias.low < 0", None),
        ("roc_auc < 0.5 or accuracy > 0.8", True),  # what is not known does not matter then
        ("roc_auc < 0.5 and accuracy < 0.8", False),
        ("not roc_auc < 0.5", None),
    ],
)
def test_a_gate_means_what_it_says(text: str, fires: bool | None) -> None:
    assert read_gate(text).fires(lookup) is fires


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("", 1, "missing at the end"),
        ("accuracy", 9, "compared with nothing"),
        ("accuracy <", 11, "missing at the end"),
        ("accuracy < 0.9 mae > 3", 16, "write and, or"),
        ("accuracy < 0.9 and", 19, "missing at the end"),
        ("(accuracy < 0.9", 16, "a bracket is not closed"),
        ("accuracy < 0.9)", 15, "write and, or"),
        ("0.8 < accuracy < 0.9", 16, "two at a time"),
        ("accuracy.mean < 0.9", 1, ".low and .high"),
        ("accuracy < 0.9 & mae > 3", 16, "has no meaning here"),
        ("segment[region].accuracy < 0.9", 1, "segment[COLUMN=VALUE].METRIC"),
        ("accuracy = 0.9", 10, "has no meaning here"),
        ("__import__('os').system('true')", 12, "has no meaning here"),
        ("accuracy < 90%", 14, "has no meaning here"),
        ("and < 3", 1, "was expected"),
        ("not " * 60 + "accuracy < 1", 201, "nested too deeply"),
    ],
)
def test_what_is_no_gate_is_refused_at_its_column(text: str, column: int, why: str) -> None:
    with pytest.raises(GateInvalid) as refused:
        read_gate(text)
    assert f"column {column}:" in str(refused.value)
    assert why in str(refused.value)


def test_a_metric_that_is_not_there_is_named_with_one_that_looks_like_it() -> None:
    gate = read_gate("accuracy > 0 and acuracy < 0.9")
    with pytest.raises(GateInvalid, match=r"column 18: no metric 'acuracy' here; did you mean accuracy\?"):
        gate.check(("accuracy", "mae"))


def test_a_segment_that_is_not_there_is_refused() -> None:
    with pytest.raises(GateInvalid, match="column 1: no segment"):
        read_gate("segment[region=south].accuracy < 1").fires(lookup)


def test_a_gate_says_what_its_figures_are() -> None:
    told = read_gate("accuracy.low < 0.9 and roc_auc > 0.5").shown(lookup)
    assert told == "accuracy.low is 0.8, roc_auc is not defined"


@given(st.text(alphabet="accuracy.low<>=!()[]0123456789 andornot'\"=", max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    said = ""
    try:
        read_gate(text).check(("accuracy",))
    except GateInvalid as refused:
        said = str(refused)
    assert not said or ", column " in said
