"""`model-manager compare` on packages: exit codes, what is shown, and a sentence for what cannot be compared."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from model_manager.cli import cli
from model_manager.packaging.package import describe_data, write_package
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from tests.unit.commands.forked import Commands

ROWS = 240


def _table() -> pd.DataFrame:
    random = np.random.default_rng(4)
    size, weight = random.normal(0, 1, (2, ROWS))
    zips = random.choice(["01234", "80331", "NA"], ROWS)
    price = 10 * size + weight + random.normal(0, 0.5, ROWS)
    kind = np.where(price > 0, "groß", "small")
    return pd.DataFrame({"size": size, "weight": weight, "zip": zips, "price": price, "kind": kind})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions of several models, trained on the first half of a table whose second half is test.csv."""
    folder = tmp_path_factory.mktemp("repository")
    table = _table()
    train, test = table[: ROWS // 2], table[ROWS // 2 :]
    test.drop(columns="price").to_csv(folder / "test.csv", index=False, sep=";")
    test.drop(columns=["price", "kind"]).to_csv(folder / "unlabelled.csv", index=False)
    test.to_csv(folder / "everything.csv", index=False)
    X, kind, price = train[["size", "weight"]], train["kind"], train["price"]
    coded = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["zip"]), remainder="passthrough"), LogisticRegression()
    )
    three = kind.where(price.abs() > 5, "middle")
    estimators: dict[tuple[str, str], Any] = {
        ("kind", "1"): LogisticRegression().fit(X, kind),
        ("kind", "2"): coded.fit(train[["size", "weight", "zip"]], kind),
        ("kind", "3"): DecisionTreeClassifier(max_depth=1).fit(X, np.roll(kind, 1)),
        ("kind", "4"): RidgeClassifier().fit(X, kind),
        ("kind", "5"): LogisticRegression().fit(X, three),
        ("kind", "6"): LogisticRegression().fit(X, (kind == "small").astype(int)),
        ("price", "1"): LinearRegression().fit(X, price),
        ("price", "2"): LinearRegression().fit(X[["size"]], price),
        ("odd", "1"): IsolationForest(n_estimators=10, random_state=0).fit(X),
        ("odd", "2"): OneClassSVM(nu=0.3).fit(X),
        ("pair", "1"): LinearRegression().fit(X, train[["price", "size"]]),
    }
    for (name, version), estimator in estimators.items():
        data = describe_data(train, uri="train.csv")
        recorded = data.model_copy(update={"target": "price" if name == "price" else "kind"})
        write_package(
            estimator, name=name, version=version, repository=folder, data=None if name in ("odd", "pair") else recorded
        )
    return folder


Ask = Callable[..., Result]


@pytest.fixture
def compare(repository: Path) -> Ask:
    """Run the command on two versions of the repository and one of its tables."""

    def ask(a: str, b: str, data: str = "test.csv", *more: str) -> Result:
        paths = [one if "://" in one else str(repository / one) for one in (a, b)]
        return CliRunner().invoke(cli, ["compare", *paths, "--data", str(repository / data), *more])

    return ask


def test_a_version_is_no_worse_than_itself(compare: Ask) -> None:
    result = compare("kind/1", "kind/1")
    assert result.exit_code == 0, result.output
    assert "Verdict: no worse. Go on: B may take the place of A." in result.stdout
    assert "They answer the same to 120 of 120 rows." in result.stdout


def test_a_worse_version_is_called_so_from_a_real_process(repository: Path, commands: Commands) -> None:
    done = commands.run("compare", "kind/1", "kind/3", "--data", "test.csv", folder=repository)
    assert done.status == 1, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("A: kind/1\nB: kind/3\n120 rows of test.csv, the truth in 'kind'\n")
    assert "Verdict: worse. Keep A." in done.stdout
    assert "not by chance" in done.stdout
    assert "calibration: probability of small" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_one_document_with_every_figure(compare: Ask, repository: Path) -> None:
    result = compare("kind/1", "kind/3", "test.csv", "--json", "--disagreements", "2")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["exit_code"], document["verdict"]) == (1, 1, "worse")
    assert (document["task"], document["target"]) == ("classification", "kind")
    accuracy = document["metrics"]["accuracy"]
    assert accuracy["a"] > 0.9 > accuracy["b"]
    assert accuracy["difference"] == pytest.approx(accuracy["b"] - accuracy["a"])
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"] < 0
    assert accuracy["p_value"] < 0.001
    assert {"roc_auc", "log_loss", "brier", "ece"} <= set(document["metrics"])
    assert document["agreement"]["agree"] + document["agreement"]["differ"] == document["data"]["compared"] == 120
    first, second = document["disagreements"]
    lines = (repository / "test.csv").read_text(encoding="utf-8").splitlines()
    written = dict(zip(lines[0].split(";"), lines[first["line"] - 1].split(";"), strict=True))
    assert written == {**first["inputs"], "kind": first["truth"]}
    assert first["a"] == first["truth"] != first["b"]
    assert second["line"] > first["line"]
    artifact = repository / "kind" / "3" / "model.joblib"
    assert document["b"]["artifact_bytes"] == artifact.stat().st_size
    assert document["b"]["latency_s"]["one_row"]["median"] > 0
    assert sum(one["rows"] for one in document["b"]["calibration"]) == 120


def test_every_row_that_differs_is_written(compare: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("what was there before", encoding="utf-8")
    result = compare("kind/1", "kind/3", "test.csv", "--rows", str(file), "--json", "--disagreements", "0")
    document = json.loads(result.stdout)
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == ["line", "A", "B", "truth", "size", "weight", "zip"]
    assert len(rows) == document["agreement"]["differ"] > 10
    assert document["disagreements"] == []
    assert all(row["A"] != row["B"] for row in rows)
    assert {row["zip"] for row in rows} == {"01234", "80331", "NA"}
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_rows_are_not_written_over_the_table(compare: Ask, repository: Path) -> None:
    before = (repository / "test.csv").read_bytes()
    result = compare("kind/1", "kind/3", "test.csv", "--rows", str(repository / "test.csv"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "it is the table that is compared on" in result.stderr
    assert (repository / "test.csv").read_bytes() == before


def test_without_a_truth_the_answers_alone_are_compared(compare: Ask) -> None:
    same = compare("kind/1", "kind/1", "unlabelled.csv")
    assert (same.exit_code, "no truth known" in " ".join(same.stdout.split())) == (0, True)
    other = compare("kind/1", "kind/3", "unlabelled.csv")
    assert other.exit_code == 3
    assert "name the column that holds the truth with --target" in " ".join(other.stdout.split())
    document = json.loads(compare("price/1", "price/2", "unlabelled.csv", "--json").stdout)
    assert (document["verdict"], document["metrics"]) == ("cannot tell", {})
    assert document["disagreements"][0]["truth"] is None


def test_numbers_are_compared_by_their_errors(compare: Ask) -> None:
    result = compare("price/1", "price/2", "everything.csv", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["task"], document["target"]) == (1, "regression", "price")
    assert document["metrics"]["rmse"]["b"] > 0.9
    assert document["notes"] == ["only A takes 'weight'"]
    assert compare("price/2", "price/1", "everything.csv").exit_code == 0
    assert compare("price/1", "price/2", "everything.csv", "--max-drop", "5").exit_code == 0


def test_anomalies_are_compared(compare: Ask, repository: Path) -> None:
    table = pd.read_csv(repository / "everything.csv")[["size", "weight"]]
    table["odd"] = np.where((table["size"] ** 2 + table["weight"] ** 2) > 4, "anomaly", "normal")
    table.to_csv(repository / "odd.csv", index=False)
    document = json.loads(compare("odd/1", "odd/2", "odd.csv", "--json").stdout)
    assert (document["task"], document["target"]) == ("anomaly", "odd")
    assert set(document["metrics"]) == {"accuracy", "balanced_accuracy", "f1_macro", "roc_auc"}


def test_scores_stand_in_for_probabilities_that_one_side_does_not_have(compare: Ask) -> None:
    document = json.loads(compare("kind/1", "kind/4", "test.csv", "--json").stdout)
    assert document["metrics"]["roc_auc"]["b"] > 0.9
    assert "log_loss" not in document["metrics"]
    refused = compare("kind/1", "kind/4", "test.csv", "--metric", "log_loss")
    assert refused.exit_code == 2
    assert "'log_loss' cannot be told of A and B on these rows; there are accuracy" in refused.stderr


def test_other_classes_are_told(compare: Ask) -> None:
    document = json.loads(compare("kind/1", "kind/5", "test.csv", "--json").stdout)
    assert document["notes"] == ["A never answers middle, which B does"]
    assert document["task"] == "multiclass"
    assert document["b"]["classes"] == ["groß", "middle", "small"]
    assert document["exit_code"] == 1


def test_labels_that_nobody_knows_and_rows_without_a_truth_are_told(compare: Ask, repository: Path) -> None:
    table = pd.read_csv(repository / "test.csv", sep=";", keep_default_na=False)
    table.loc[3, "kind"], table.loc[[5, 6], "kind"] = "huge", ""
    table.to_csv(repository / "gaps.csv", index=False)
    document = json.loads(compare("kind/1", "kind/1", "gaps.csv", "--json").stdout)
    assert document["notes"] == [
        "2 rows have no 'kind' and were left out: 118 of 120 remain",
        "1 row is of labels that neither A nor B knows (huge): wrong for both",
    ]
    assert (document["data"]["compared"], document["agreement"]["both_wrong"] >= 1) == (118, True)


def test_too_few_rows_cannot_tell(compare: Ask, repository: Path) -> None:
    pd.read_csv(repository / "test.csv", sep=";", keep_default_na=False)[:9].to_csv(repository / "few.csv", index=False)
    result = compare("kind/1", "kind/1", "few.csv")
    assert result.exit_code == 3
    assert "9 of the 30 rows needed" in result.stdout


@pytest.mark.parametrize(
    ("a", "b", "data", "more", "said"),
    [
        ("kind/1", "price/1", "test.csv", (), "A, kind/1, answers labels, and B, price/1, answers quantities"),
        ("kind/1", "kind/6", "test.csv", (), "they have no answer in common"),
        ("kind/1", "pair/1", "test.csv", (), "pair/1: the LinearRegression predicts several targets at once"),
        ("kind/1", "kind/9", "test.csv", (), "kind/9: there is no such folder; beside it there is 1, 2"),
        ("kind/1", "kind/2", "none.csv", (), "none.csv: no such file"),
        ("kind/1", "kind/2", "odd.csv", (), "B, kind/2: {data}: 1 column that the model takes is missing: 'zip'"),
        ("kind/1", "kind/2", "test.csv", ("--target", "Kind"), "no column 'Kind'; did you mean 'kind'?"),
        ("kind/1", "kind/2", "test.csv", ("--target", "size"), "'size' is an input of the model"),
        ("kind/1", "kind/2", "test.csv", ("--metric", "speed"), "'speed' is none of accuracy, balanced_accuracy"),
        ("kind/1", "http://127.0.0.1:9/kind/2", "test.csv", (), "http://127.0.0.1:9/kind/2 cannot be asked"),
        ("kind/1", "http://127.0.0.1:9/kind", "test.csv", (), "write it as http://localhost:8080/iris/2"),
        ("kind/1", "kind/2", "test.csv", ("--rows", "/no/such/rows.csv"), "there is no folder /no/such; make it first"),
    ],
)
def test_what_cannot_be_compared_gets_a_sentence(
    compare: Ask, repository: Path, a: str, b: str, data: str, more: tuple[str, ...], said: str
) -> None:
    if data == "odd.csv":
        pd.DataFrame({"size": [1.0], "weight": [2.0], "kind": ["small"]}).to_csv(repository / data, index=False)
    result = compare(a, b, data, *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said.format(data=repository / data) in result.stderr
    assert "Traceback" not in result.stderr
