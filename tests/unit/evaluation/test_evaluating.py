"""Real packages on real tables: what they are worth, for whom, and what is said where a figure means nothing."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from model_manager import describe_data, evaluate, load, write_package
from model_manager.errors import GateInvalid, LoadFailed, PackageRefused, PredictionFailed, TableRefused
from model_manager.evaluation.meaning import differs, summary
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.evaluation.staging import homes, with_prices, with_sold


def saved(frame: pd.DataFrame, folder: Path, **how: object) -> Path:
    path = folder / "data.csv"
    frame.to_csv(path, index=False, **how)  # type: ignore[call-overload]
    return path


def test_two_classes_from_a_file_of_the_continent(repository: Path, tmp_path: Path) -> None:
    frame = with_sold(homes(300, seed=2))
    found = evaluate(repository / "sold" / "1", saved(frame, tmp_path, sep=";", decimal=","), by="zip", resamples=200)
    own = load(repository / "sold" / "1").predict(frame)
    assert found.metrics["accuracy"] == pytest.approx(accuracy_score(frame["sold"], own))
    assert (found.task, found.target, found.positive, found.used) == ("classification", "sold", "yes", 300)
    figure = found.figures["accuracy"]
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < found.metrics["accuracy"] < figure.high
    counts = frame["zip"].value_counts()
    assert {one.value: one.rows for one in found.segments} == counts.to_dict()
    assert [one.too_few for one in found.segments] == [count < 30 for count in counts]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["metrics"]["accuracy"]["value"] == found.metrics["accuracy"]
    assert sum(map(sum, document["confusion"]["counts"])) == 300
    assert sum(one["rows"] for one in document["calibration"]["bins"]) == 300
    assert len(document["roc"]["true_positive_rate"]) == len(document["roc"]["false_positive_rate"]) <= 200


def test_a_segment_is_measured_as_its_rows_alone(repository: Path) -> None:
    frame = with_sold(homes(300, seed=2))
    part = frame[frame["zip"] == "80331"]
    whole = evaluate(repository / "sold" / "1", frame, by="zip", resamples=100)
    alone = evaluate(repository / "sold" / "1", part, resamples=100)
    assert next(one for one in whole.segments if one.value == "80331").figures == alone.figures


def test_a_segment_that_is_worse_is_called_so(repository: Path) -> None:
    frame = with_sold(homes(400, seed=3))
    old = frame["zip"] == "20095"
    frame.loc[old, "sold"] = np.where(frame.loc[old, "sold"] == "yes", "no", "yes")
    found = evaluate(repository / "sold" / "1", frame, by="zip", resamples=200)
    said = {one.value: differs(one, found) for one in found.segments}
    assert (said["20095"], said["80331"]) == ("worse", "better")


def test_numbers_are_parted_by_quarters_and_many_values_at_the_most_frequent(repository: Path) -> None:
    frame = with_sold(homes(200, seed=4)).assign(street=[f"s{at % 50}" for at in range(200)])
    frame.loc[:9, "age"] = 40.0
    found = evaluate(repository / "sold" / "1", frame, by=["age", "street"], resamples=0)
    ages = [one for one in found.segments if one.column == "age"]
    assert (len(ages), sum(one.rows for one in ages)) == (4, 200)
    streets = [one for one in found.segments if one.column == "street"]
    assert (len(streets), streets[-1].value, streets[-1].rows) == (21, "(others): 30 values", 120)


def test_three_classes_quantities_and_anomalies(repository: Path) -> None:
    frame = homes(200, seed=5)
    kinds = frame.assign(kind=pd.qcut(frame["größe"], 3, labels=["flat", "house", "villa"]).astype(object))
    found = evaluate(repository / "kind" / "1", kinds, target="kind", resamples=50)
    assert found.task == "multiclass"
    assert found.metrics["balanced_accuracy"] > 0.8
    assert "always giving the most frequent label" in summary(found).lower()

    prices = with_prices(frame)
    of_price = evaluate(repository / "price" / "1", prices, target="price", resamples=50)
    own = load(repository / "price" / "1").predict(prices)
    assert of_price.metrics["mae"] == pytest.approx(mean_absolute_error(prices["price"], own))
    assert of_price.to_dict()["residuals"]["quantiles"]["0.5"] == pytest.approx(0, abs=4)
    assert "it has learned something" in summary(of_price)

    odd = frame.assign(odd=frame["größe"] > 170)
    of_odd = evaluate(repository / "odd" / "1", odd, target="odd", resamples=50)
    assert (of_odd.task, of_odd.headline) == ("anomaly", "f1")
    assert of_odd.metrics["roc_auc"] > 0.9
    unknown = evaluate(repository / "odd" / "1", frame.drop(columns="zip"), resamples=50)
    assert (unknown.headline, set(unknown.metrics)) == ("flagged", {"flagged"})


def test_rows_without_a_truth_are_left_out_and_said_so(repository: Path) -> None:
    frame = with_sold(homes(100, seed=6))
    frame["sold"] = frame["sold"].astype(object).where(frame.index % 10 != 0)
    found = evaluate(repository / "sold" / "1", frame, resamples=0)
    assert (found.rows, found.used) == (100, 90)
    assert "10 rows without 'sold' left out: 90 of 100 remain" in found.notes


@pytest.mark.parametrize(
    ("labels", "undefined", "note"),
    [
        (["yes"] * 40, "roc_auc", "no row is 'no', which the model can answer"),
        (["yes", "no", "perhaps", "no"] * 10, None, "10 rows have labels that the model does not know ('perhaps')"),
        (["perhaps"] * 40, "log_loss", "40 rows have labels that the model does not know"),
        (["yes", "no"] * 5, None, "only 10 rows: intervals of so few say little"),
    ],
)
def test_odd_truths_give_numbers_or_sentences(
    repository: Path, labels: list[str], undefined: str | None, note: str
) -> None:
    found = evaluate(repository / "sold" / "1", homes(len(labels), seed=7).assign(sold=labels), resamples=20)
    assert any(one.startswith(note) for one in found.notes), found.notes
    assert set(found.undefined) == {name for name, value in found.metrics.items() if math.isnan(value)}
    assert undefined is None or found.undefined[undefined]
    assert summary(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_truth_is_where_metadata_says_or_in_the_only_other_column_or_asked_for(repository: Path) -> None:
    frame = with_sold(homes(50, seed=8))
    assert evaluate(repository / "sold" / "1", frame.assign(id=1), resamples=0).target == "sold"
    prices = with_prices(homes(50, seed=8)).drop(columns="zip")
    assert evaluate(repository / "price" / "1", prices, resamples=0).target == "price"
    with pytest.raises(TableRefused, match=r"Name it with --target: 'zip', 'price'"):
        evaluate(repository / "price" / "1", with_prices(homes(50, seed=8)))
    with pytest.raises(TableRefused, match="every column is an input of the model"):
        evaluate(repository / "price" / "1", prices.drop(columns="price"))
    with pytest.raises(TableRefused, match="'age' is an input of the model, and cannot be its target"):
        evaluate(repository / "price" / "1", prices, target="age")
    with pytest.raises(TableRefused, match=r"no column 'Price'; did you mean 'price'\?"):
        evaluate(repository / "price" / "1", prices, target="Price")


def test_a_column_that_is_missing_is_named_before_the_truth_is_looked_for(repository: Path) -> None:
    with pytest.raises(TableRefused, match=r"is missing: 'größe' \(did you mean 'grösse'\?\)"):
        evaluate(repository / "price" / "1", with_prices(homes(50, seed=8)).rename(columns={"größe": "grösse"}))


def test_gates_are_read_before_anything_else_and_decided_by_segments_of_their_own(repository: Path) -> None:
    with pytest.raises(GateInvalid):
        evaluate("nowhere", "nothing.csv", fail_if="accuracy <")
    frame = with_sold(homes(200, seed=9))
    gates = ["accuracy < 0.2", "segment[zip=01234].accuracy >= 0", "segment[zip=01234].accuracy.low > 2"]
    found = evaluate(repository / "sold" / "1", frame, fail_if=gates, resamples=50)
    assert [one.fired for one in found.gates] == [False, True, False]
    assert (found.failed, found.gates[0].shown) == (True, f"accuracy is {found.metrics['accuracy']:.4g}")
    assert {one.column for one in found.segments} == {"zip"}
    with pytest.raises(GateInvalid, match="no metric 'mae' here"):
        evaluate(repository / "sold" / "1", frame, fail_if="mae > 3")
    with pytest.raises(GateInvalid, match="no segment zip=1; there are"):
        evaluate(repository / "sold" / "1", frame, fail_if="segment[zip=1].accuracy > 3")


def test_a_row_that_the_model_does_not_answer_is_found(tmp_path: Path) -> None:
    frame = with_sold(homes(300, seed=10))
    encoded = make_column_transformer((OneHotEncoder(), ["zip"]), remainder="passthrough")
    model = make_pipeline(encoded, LogisticRegression(max_iter=1000)).fit(frame[["zip", "age"]], frame["sold"])
    write_package(model, name="zips", version="1", repository=tmp_path, sample=frame[["zip", "age"]])
    frame.loc[123, "zip"] = "99999"
    path = saved(frame.drop(columns="größe"), tmp_path)
    with pytest.raises(PredictionFailed, match="zips/1: line 125: predict raised ValueError: Found unknown"):
        evaluate(tmp_path / "zips" / "1", path)


def test_training_data_are_called_so(tmp_path: Path) -> None:
    frame = with_prices(homes(40, seed=13)).drop(columns="zip")
    X = frame[["größe", "age"]]
    path = saved(frame, tmp_path)
    model = LinearRegression().fit(X, frame["price"])
    about = describe_data(frame, uri=str(path))
    write_package(model, name="price", version="1", repository=tmp_path, sample=X, data=about)
    assert any("very data" in note for note in evaluate(tmp_path / "price" / "1", path, resamples=0).notes)
    other = saved(frame[1:], tmp_path)
    assert not any("very data" in note for note in evaluate(tmp_path / "price" / "1", other, resamples=0).notes)


def test_what_cannot_be_right_or_wrong_is_refused(tmp_path: Path) -> None:
    numbers = homes(60, seed=11)[["größe", "age"]]
    several = LinearRegression().fit(numbers, numbers)
    for name, model in (("groups", KMeans(2, n_init=1, random_state=0).fit(numbers)), ("several", several)):
        write_package(model, name=name, version="1", repository=tmp_path, sample=numbers)
    for name, said in (("groups", "finds clusters"), ("several", "predicts several targets at once")):
        with pytest.raises(PackageRefused, match=said):
            evaluate(tmp_path / name / "1", numbers.assign(y=1))


def test_a_package_that_was_tampered_with_is_not_opened(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "sold" / "1"
    copy.mkdir(parents=True)
    for file in (repository / "sold" / "1").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "model.joblib").write_bytes((copy / "model.joblib").read_bytes()[:-1])
    with pytest.raises(LoadFailed, match="it was changed or cut short") as failed:
        load(copy)
    assert failed.value.reason == "digest_mismatch"


def test_a_loaded_model_predicts_rows_of_every_kind(repository: Path) -> None:
    model = load(str(repository / "sold" / "1"))
    frame = homes(5, seed=12)
    by_frame = model.predict(frame)
    as_lists = frame[["größe", "age"]].to_numpy()
    for rows in (as_lists, as_lists.tolist(), frame[["größe", "age"]].to_dict("records")):
        np.testing.assert_array_equal(model.predict(rows), by_frame)
    both = model.predict(frame, ["predict", "predict_proba"])
    assert isinstance(both, dict)
    assert (list(both), both["predict_proba"].shape) == (["predict", "predict_proba"], (5, 2))
    assert (model.model, model.version, model.metadata.data and model.metadata.data.target) == ("sold", "1", "sold")
    assert [column.name for column in model.signature.columns or ()] == ["größe", "age"]
    assert repr(model).startswith("<sold/1: takes 2 columns, gives predict")
    assert evaluate(model, with_sold(homes(50, seed=1)), resamples=0).model == "sold"
