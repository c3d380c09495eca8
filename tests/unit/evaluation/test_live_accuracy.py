"""When a label is what was answered, and what is measured of numbers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from model_manager.errors import TableRefused
from model_manager.evaluation.live_accuracy import Label, Predicted, read_predictions, score
from model_manager.feedback import is_same

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "label", "same"),
    [
        ("01234", "01234", True),
        ("01234", "1234", False),
        ("yes", "yes", True),
        ("yes", "Yes", False),
        (1, "1", True),
        (1, "1.0", True),
        (1, 1.0, True),
        (1, "one", False),
        (True, "true", True),
        (True, "1", True),
        (False, "True", False),
        (None, "1", False),
        ([1], "1", False),
    ],
)
def test_a_label_is_compared_as_what_was_answered(answer: object, label: object, same: bool) -> None:
    assert is_same(answer, label) is same


def test_numbers_are_measured_by_how_far_off_they_are() -> None:
    predictions = {("a", 0): Predicted("1", NOW, 2.0, None), ("b", 0): Predicted("1", NOW, 5.0, None)}
    labels = {("a", 0): Label("3", None), ("b", 0): Label("2", None)}
    (found,) = score(predictions, labels, classes=[], maturity=timedelta(0), now=NOW)
    assert found.metrics == {"mae": 2.0, "rmse": pytest.approx(5**0.5)}
    with pytest.raises(TableRefused, match="'many' is none"):
        score(predictions, {("a", 0): Label("many", None)}, classes=[], maturity=timedelta(0), now=NOW)


def test_where_only_probabilities_were_asked_for_the_likeliest_class_is_the_answer(tmp_path: Path) -> None:
    data = {"request_id": "a", "model": "m", "version": "1", "status": 200}
    outputs = {"predict_proba": [[0.9, 0.1], [0.2, 0.8]]}
    event = {"type": "model-manager.prediction.v1", "time": NOW.isoformat()}
    notice = {"type": "model-manager.state.v1", "time": NOW.isoformat(), "data": {"model": "m"}}
    shadow = {**event, "data": {**data, "outputs": outputs, "shadow": True}}
    lines = [{**event, "data": {**data, "outputs": outputs}}, notice, shadow]
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = read_predictions([path], "m", ["no", "yes"])
    assert [one.answer for one in found.rows.values()] == ["no", "yes"]
    assert read_predictions([path], "m", []).unusable == 1
