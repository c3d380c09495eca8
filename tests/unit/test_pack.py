"""`model-manager pack` and `pack` in Python: a model that exists becomes a package, or one line says why not."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from model_manager import PackageRefused, pack
from model_manager.cli import cli
from model_manager.commands.pack import pack as command
from model_manager.commands.promote import promote
from model_manager.errors import TableRefused
from model_manager.evaluation.opening import open_package
from model_manager.packaging.publishing import publish
from model_manager.packaging.signing import verify_package
from model_manager.repository.metadata import Metadata, TensorInput, parse_metadata
from model_manager.repository.references import read_reference
from model_manager.repository.signatures import Trust
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from models.churn.train import customers, pipeline
from tests.packaged import failure, predictor_of, run
from tests.unit.commands.forked import Commands
from tests.unit.test_signing import write_key

FEATURES = customers(1).columns.drop("churned").tolist()
CARD = """---
owner: Ana, churn team
license: mit
---
# Churn

Who leaves within a month,
from the customer table.

## Intended use

To choose whom to call.
### When
Once a month.

## Limits

None known.
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of somebody who has trained a model: the model in three formats, its data, a hold-out, a card."""
    folder = tmp_path_factory.mktemp("desk")
    table = customers(400).assign(customer=range(400))
    table[:300].to_csv(folder / "train.csv", index=False)
    table[300:].to_csv(folder / "test.csv", index=False)
    model = pipeline().fit(table[FEATURES][:300], table["churned"][:300])
    joblib.dump(model, folder / "model.joblib")
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    skops.io.dump(model, folder / "model.skops")
    (folder / "card.md").write_text(CARD, encoding="utf-8")
    return folder


def packed(desk: Path, out: Path, *more: object, model: str = "model.joblib") -> tuple[dict[str, Any], Metadata]:
    """What the command tells of a package that it wrote, and what the package says of itself."""
    result = run(command, desk / model, "--name", "churn", "--version", "3", "--out", out, "--json", *more)
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told, parse_metadata((out / "churn" / "3" / "metadata.json").read_bytes())


def refused(desk: Path, out: Path, *more: object, model: str = "model.joblib") -> str:
    line = failure(command, desk / model, "--name", "churn", "--version", "3", "--out", out, *more)
    assert not out.exists() or not read_reference(out).models()
    return line


def test_all_that_is_known_of_a_model_goes_into_its_package(desk: Path, tmp_path: Path) -> None:
    told, metadata = packed(
        desk,
        tmp_path,
        *("--data", desk / "train.csv", "--target", "churned", "--holdout", desk / "test.csv"),
        *("--card", desk / "card.md", "--data-version", "2026-11", "--data-uri", "s3://churn/train.csv?token=x"),
    )
    data, evaluation, card = metadata.data, metadata.evaluation, metadata.card
    assert data is not None
    assert data.sha256 == hashlib.sha256((desk / "train.csv").read_bytes()).hexdigest()
    assert (data.rows, data.columns, data.target, data.version) == (300, 10, "churned", "2026-11")
    assert data.uri == "s3://churn/train.csv?…"
    assert evaluation is not None
    assert (evaluation.dataset, evaluation.rows) == ("test.csv", 100)
    assert evaluation.sha256 == hashlib.sha256((desk / "test.csv").read_bytes()).hexdigest()
    model = joblib.load(desk / "model.joblib")
    test = pd.read_csv(desk / "test.csv", keep_default_na=True).assign(
        internet=lambda table: table["internet"].fillna("none")
    )
    assert evaluation.metrics["accuracy"] == pytest.approx(model.score(test[FEATURES], test["churned"]))
    assert set(evaluation.metrics) == {"accuracy", "roc_auc"}
    importances = evaluation.importances
    assert importances is not None
    assert (importances.method, importances.unit) == ("linear", "log-odds")
    assert importances.rows == 50
    means = [one.mean for one in importances.columns]
    assert {one.column for one in importances.columns} == set(FEATURES)
    assert means == sorted(means, reverse=True)
    first = importances.dependence[0]
    assert first.column == importances.columns[0].column
    assert [len(answers) for answers in first.answers] == [len(first.values)]
    assert card is not None
    assert (card.owner, card.description) == ("Ana, churn team", "Who leaves within a month, from the customer table.")
    assert card.intended_use == "To choose whom to call. ### When Once a month."
    assert card.text == CARD.strip()
    assert {one.name for one in metadata.libraries or ()} == {"joblib", "numpy", "scikit-learn"}
    assert metadata.golden is not None
    assert metadata.baseline is not None
    assert set(metadata.baseline.features) == set(FEATURES)
    predictor_of(tmp_path / "churn" / "3")
    assert told["data"]["target"] == "churned"
    assert told["evaluation"]["metrics"] == evaluation.metrics
    assert (told["golden_rows"], told["signed"]) == (3, False)


@pytest.mark.parametrize("model", ["model.joblib", "model.pkl", "model.skops"])
def test_the_bytes_and_the_format_stay_what_they_are(desk: Path, tmp_path: Path, model: str) -> None:
    trusted = ("--skops-trusted", "numpy.dtype") if model.endswith("skops") else ()
    _, metadata = packed(desk, tmp_path, *trusted, model=model)
    kept = "model.skops" if model.endswith("skops") else "model.joblib"
    content = (tmp_path / "churn" / "3" / kept).read_bytes()
    assert content == (desk / model).read_bytes()
    assert metadata.artifact is not None
    assert (metadata.artifact.file, metadata.artifact.bytes) == (kept, len(content))
    assert metadata.artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert "skops" in {one.name for one in metadata.libraries or ()} or not trusted


def test_an_onnx_model_is_packed_with_the_names_of_its_columns(tmp_path: Path) -> None:
    """It knows how many columns it takes and of which type, and not what they are called."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(60, 2)), columns=["größe", "age"]).assign(sold=lambda t: t["age"] > 0)
    table.to_csv(tmp_path / "homes.csv", index=False)
    model = LogisticRegression().fit(table[["größe", "age"]].to_numpy(np.float32), table["sold"].astype(int))
    content = to_onnx(model, table[["größe", "age"]].to_numpy(np.float32)[:1], target_opset=17).SerializeToString()
    (tmp_path / "m.onnx").write_bytes(content)
    data = ("--data", tmp_path / "homes.csv", "--target", "sold", "--holdout", tmp_path / "homes.csv")
    for version, more in (("1", ()), ("2", data)):
        result = run(command, tmp_path / "m.onnx", "--name", "m", "--version", version, "--out", tmp_path, *more)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "m" / "2" / "model.onnx").read_bytes() == content
    metadata = parse_metadata((tmp_path / "m" / "2" / "metadata.json").read_bytes())
    assert metadata.inputs is not None
    tensor = metadata.inputs[0]
    assert isinstance(tensor, TensorInput)
    assert (tensor.datatype, tensor.columns) == ("FP32", ["größe", "age"])
    assert metadata.golden is not None
    assert "onnxruntime" in {one.name for one in metadata.libraries or ()}
    opened = open_package(tmp_path / "m" / "2")  # which asks it its golden rows
    assert [one.name for one in opened.signature.columns or ()] == ["größe", "age"]


def test_what_was_packed_is_a_table_for_people_with_what_comes_next(desk: Path, tmp_path: Path) -> None:
    arguments = ("--name", "churn", "--version", "3", "--out", tmp_path, "--holdout", desk / "test.csv")
    told = run(command, desk / "model.joblib", *arguments, "--target", "churned").stdout
    assert "accuracy 0." in told
    assert "scikit-learn " in told
    assert "without --data there are no golden rows" in told
    assert "public: the names and types of inputs and outputs, and the labels" in told
    assert f"  model-manager evaluate {tmp_path / 'churn' / '3'} --data {desk / 'test.csv'}" in told
    assert f"  model-manager serve --models {tmp_path}" in told


def test_a_package_is_signed_before_it_is_seen(desk: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "key.pem")
    told, _ = packed(desk, tmp_path / "out", "--sign", tmp_path / "key.pem")
    assert told["signed"]
    signed = verify_package(tmp_path / "out" / "churn" / "3", Trust(key=tmp_path / "key.pub"))
    assert set(signed.covered) == {"model.joblib", "metadata.json"}
    line = refused(desk, tmp_path / "other", "--sign", tmp_path / "key.pub")
    assert "key.pub is no private key in PEM" in line


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--data", "nowhere.csv"), "nowhere.csv: no such file"),
        (("--data", "train.csv", "--target", "churnd"), "no column 'churnd'; did you mean 'churned'?"),
        (("--data", "lacking.csv"), "1 column that the model takes is missing: 'tenure_months'"),
        (("--data", "typo.csv"), "typo.csv: line 3, column 'monthly_charges': expected a number (FP64), got \"high\""),
        (("--holdout", "unlabelled.csv", "--target", "churned"), "unlabelled.csv: no column 'churned'"),
        (("--holdout", "strangers.csv", "--target", "churned"), "says 'maybe', none of which is a label of the model"),
        (("--card", "nowhere.md"), "nowhere.md: the model card cannot be read: No such file"),
        (("--card", "broken.md"), "broken.md: line 2: the YAML of the model card cannot be read"),
        (("--data", "table.parquet"), "table.parquet: it is a Parquet file"),
    ],
)
def test_what_stands_in_the_way_is_one_line(desk: Path, tmp_path: Path, more: tuple[str, ...], told: str) -> None:
    train = pd.read_csv(desk / "train.csv")
    train.drop(columns="tenure_months").to_csv(tmp_path / "lacking.csv", index=False)
    changed = train.astype({"monthly_charges": object})
    changed.loc[1, "monthly_charges"] = "high"
    changed.to_csv(tmp_path / "typo.csv", index=False)
    train.drop(columns="churned").to_csv(tmp_path / "unlabelled.csv", index=False)
    train.assign(churned="maybe").to_csv(tmp_path / "strangers.csv", index=False)
    (tmp_path / "broken.md").write_text("---\nowner: [Ana\n---\n# Churn\n", encoding="utf-8")
    (tmp_path / "table.parquet").write_bytes(b"PAR1 and no more")

    def place(word: str) -> object:
        return next((folder / word for folder in (tmp_path, desk) if "." in word and (folder / word).exists()), word)

    assert told in refused(desk, tmp_path / "out", *map(place, more))


def test_a_model_that_no_server_could_read_is_one_line(desk: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.joblib").write_bytes(b"")
    (tmp_path / "mine.pkl").write_bytes(b"c__main__\nMine\n.")
    (tmp_path / "foreign.pkl").write_bytes(b"(cno_such_library.deep\nModel\ncimblearnt_no\nModel\nt.")
    (tmp_path / "own.pkl").write_bytes(b"cmy_features\nModel\n.")
    (tmp_path / "my_features.py").write_text("", encoding="utf-8")
    out = tmp_path / "out"
    assert "there is no such file" in refused(tmp_path, out, model="nowhere.joblib")
    assert "is a folder; name a model's file" in refused(tmp_path, out, model=".")
    assert "a model's name ends with .joblib, " in refused(desk, out, model="card.md")
    assert "would not serve: the artifact does not unpickle: EOFError" in refused(tmp_path, out, model="empty.joblib")
    assert "a class or function of the script that made it" in refused(tmp_path, out, model="mine.pkl")
    line = refused(tmp_path, out, model="foreign.pkl")
    assert "the artifact needs imblearnt_no, no_such_library, which are not installed here: pip install " in line
    assert f"my_features lies in {tmp_path}: set PYTHONPATH={tmp_path}" in refused(tmp_path, out, model="own.pkl")
    assert "types that neither skops nor the operator trusts: numpy.dtype" in refused(desk, out, model="model.skops")


def test_an_interruption_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    class Interrupting:
        def __reduce__(self) -> Any:
            return exec, ("raise KeyboardInterrupt",)

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Interrupting()))
    line = refused(tmp_path, tmp_path / "out", model="m.pkl")
    assert line.endswith("interrupted; what it writes is there whole or not at all: run the same command again")


def test_a_version_is_never_overwritten(desk: Path, tmp_path: Path) -> None:
    _, first = packed(desk, tmp_path)
    arguments = ("--name", "churn", "--version", "3", "--out", tmp_path)
    assert "3 exists; a version is never overwritten" in failure(command, desk / "model.joblib", *arguments)
    assert parse_metadata((tmp_path / "churn" / "3" / "metadata.json").read_bytes()) == first


def test_options_that_go_together_are_asked_for_together(desk: Path, tmp_path: Path) -> None:
    for alone, told in (("--data-version", "--data-version and --data-uri speak of --data"), ("--cert", "--sign")):
        result = run(command, desk / "model.pkl", "--name", "m", "--version", "1", "--out", tmp_path, alone, "x")
        assert result.exit_code == 2
        assert told in result.stderr


def test_columns_without_names_are_those_that_are_named(tmp_path: Path) -> None:
    """A model that was fitted on an array knows the number of its columns and nothing else of them."""
    table = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 3)), columns=["a", "b", "c"])
    table.assign(id=range(60), y=table["a"] > 0).to_csv(tmp_path / "t.csv", index=False)
    joblib.dump(LogisticRegression().fit(table[["c", "a"]].to_numpy(), table["a"] > 0), tmp_path / "m.joblib")
    out, data = tmp_path / "out", ("--data", tmp_path / "t.csv", "--target", "y")
    line = refused(tmp_path, out, *data, model="m.joblib")
    assert "was fitted on 2 columns without names, and the data have 4 beside 'y': 'a', 'b', 'c', 'id'" in line
    assert "did you mean" in refused(tmp_path, out, *data, "--columns", "C,a", model="m.joblib")
    _, metadata = packed(tmp_path, out, *data, "--columns", "c, a", "--holdout", tmp_path / "t.csv", model="m.joblib")
    assert metadata.model_dump(exclude_none=True)["inputs"][0]["columns"] == ["c", "a"]
    assert metadata.evaluation is not None
    assert metadata.evaluation.metrics["accuracy"] > 0.9


def test_codes_are_text_where_the_model_takes_text_and_numbers_where_it_takes_numbers(tmp_path: Path) -> None:
    places = ["01234", "04109", "80331"] * 20
    frame = pd.DataFrame({"zip": places, "y": ["a", "b", "a"] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False)
    joblib.dump(
        make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame[["zip"]], frame["y"]), tmp_path / "t.pkl"
    )
    joblib.dump(LogisticRegression().fit(frame[["zip"]].astype(int), frame["y"]), tmp_path / "n.pkl")
    data = ("--data", tmp_path / "t.csv", "--target", "y")
    for model, datatype in (("t.pkl", "BYTES"), ("n.pkl", "FP64")):
        _, metadata = packed(tmp_path, tmp_path / model.replace(".", "-"), *data, model=model)
        assert metadata.model_dump()["inputs"][0]["datatype"] == datatype


def test_text_is_found_among_the_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"mail": ["win money now", "see you at noon"] * 20, "size": range(40), "spam": [1, 0] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False)
    joblib.dump(
        make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(frame["mail"], frame["spam"]), tmp_path / "m.pkl"
    )
    two = ColumnTransformer([("mail", TfidfVectorizer(), "mail"), ("size", "passthrough", ["size"])])
    joblib.dump(
        make_pipeline(two, LogisticRegression()).fit(frame[["mail", "size"]], frame["spam"]), tmp_path / "two.pkl"
    )
    data = ("--data", tmp_path / "t.csv", "--target", "spam", "--holdout", tmp_path / "t.csv")
    _, metadata = packed(tmp_path, tmp_path / "one", *data, "--columns", "mail", model="m.pkl")
    assert metadata.golden is not None
    assert metadata.golden.instances[0] == "win money now"
    told, metadata = packed(tmp_path, tmp_path / "two", *data, model="two.pkl")
    assert [one.datatype for one in metadata.inputs or ()] == ["BYTES", "FP64"]
    assert "the hold-out is the training data itself: its scores say nothing of other rows" in told["notes"]


def test_anomalies_are_scored_where_somebody_knows_them(tmp_path: Path) -> None:
    X = np.random.default_rng(2).normal(size=(80, 2))
    far = np.where(np.arange(80) % 20 == 0, 9.0, 0.0)[:, None]
    frame = pd.DataFrame(X + far, columns=["a", "b"])
    folder = pack(
        IsolationForest(random_state=0).fit(frame),
        name="odd",
        version="1",
        out=tmp_path,
        data=frame,
        target=None,
        holdout=frame.assign(fraud=far[:, 0] > 0),
    )
    evaluation = parse_metadata((folder / "metadata.json").read_bytes()).evaluation
    assert evaluation is not None
    assert evaluation.metrics["roc_auc"] == 1.0
    assert evaluation.importances is not None
    assert {one.column for one in evaluation.importances.columns} == {"a", "b"}  # by asking
    with pytest.raises(TableRefused, match="does not say which rows are anomalies"):
        pack(IsolationForest().fit(frame), name="odd", version="2", out=tmp_path, holdout=frame)


def test_from_python_everything_is_a_plain_argument(desk: Path, tmp_path: Path) -> None:
    train = customers(400)[:300]
    folder = pack(
        pipeline().fit(train[FEATURES], train["churned"]),
        name="churn",
        version="1",
        out=tmp_path,
        data=train,
        target="churned",
        evaluation={"dataset": "last month", "rows": 100, "metrics": {"accuracy": 0.8}},
        card={"owner": "Ana", "intended_use": "To choose whom to call."},
    )
    metadata = parse_metadata((folder / "metadata.json").read_bytes())
    assert metadata.card is not None
    assert (metadata.card.owner, metadata.card.description) == ("Ana", None)
    assert metadata.evaluation is not None
    assert metadata.evaluation.metrics == {"accuracy": 0.8}
    assert metadata.data is not None
    assert (metadata.data.target, metadata.data.rows) == ("churned", 300)
    predictor_of(folder)
    array = np.arange(20.0).reshape(10, 2)
    model = LinearRegression().fit(array, array[:, 0])
    folder = pack(model, name="line", version="1", out=tmp_path, data=array, columns=["a", "b"])
    assert parse_metadata((folder / "metadata.json").read_bytes()).golden is not None
    for wrong, told in (
        ({"evaluation": {"accuracy": 0.8}}, "evaluation: dataset: Field required; it has dataset, rows and metrics"),
        ({"card": {"author": "Ana"}}, "a model card has no 'author'; it has owner, description, intended_use, text"),
    ):
        with pytest.raises(PackageRefused, match=told):
            pack(model, name="line", version="2", out=tmp_path, **wrong)
    with pytest.raises(TableRefused, match="data: no column 'age', which the estimator was fitted with"):
        pack(desk / "model.pkl", name="churn", version="2", out=tmp_path, data=train.drop(columns="age"))


def test_the_same_inputs_give_the_same_bytes_in_any_process(
    desk: Path, tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its hashes begin with: this process draws that, and the other is told."""
    arguments = ["pack", "model.joblib", "--name", "m", "--version", "1", "--data", "train.csv", "--target", "churned"]
    arguments += ["--holdout", "test.csv", "--card", "card.md", "--out"]
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    done = commands.run(*arguments, tmp_path / "other", folder=desk, environment=epoch)
    assert (done.status, done.stderr) == (0, "")
    monkeypatch.chdir(desk)
    assert run(cli, *arguments, tmp_path / "this").exit_code == 0
    this, other = ((tmp_path / place / "m" / "1" / "metadata.json").read_bytes() for place in ("this", "other"))
    assert this == other
    assert parse_metadata(this).created is not None


def test_what_a_killed_run_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    left = tmp_path / "m" / ".tmp-1-0123abcd"
    left.mkdir(parents=True)
    (left / "model.joblib").write_bytes(b"half")
    publish(tmp_path, "m", "2", {"model.joblib": b""})
    assert left.exists()
    os.utime(left, (1, 1))
    publish(tmp_path, "m", "3", {"model.joblib": b""})
    assert left.exists()  # of another version
    publish(tmp_path, "m", "1", {"model.joblib": b""})
    assert not left.exists()


def test_a_folder_that_cannot_be_written_to_is_one_line(desk: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    line = refused(desk, tmp_path / "file" / "repository")
    assert "cannot be published: Not a directory; nothing was written" in line


def test_gates_on_the_hold_out_are_recorded_and_what_fails_them_is_not_promoted(desk: Path, tmp_path: Path) -> None:
    data = ("--data", desk / "train.csv", "--target", "churned", "--holdout", desk / "test.csv")
    _, passed = packed(desk, tmp_path, *data, "--fail-if", "accuracy < 0.1")
    assert passed.evaluation is not None
    assert [gate.model_dump() for gate in passed.evaluation.gates or ()] == [
        {"expression": "fail if accuracy < 0.1", "passed": True}
    ]
    gates = ("--fail-if", "accuracy < 0.1", "--fail-if", "accuracy < 1 or accuracy == 1")
    again = ("--name", "churn", "--version", "4", "--out", tmp_path)
    result = run(command, desk / "model.joblib", *again, *data, *gates)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith(
        "churn/4 is packed, and does not pass: fail if accuracy < 1 or accuracy == 1"
    )
    manifest = tmp_path / "models.yaml"
    manifest.write_text(
        'models:\n  churn:\n    default: "3"\n    versions:\n'
        '      "3": {artifact: churn/3/model.joblib}\n      "4": {artifact: churn/4/model.joblib}\n'
    )
    refused = run(promote, manifest, "churn", "4")
    assert refused.exit_code == 1
    assert "failed its gates: fail if accuracy < 1 or accuracy == 1" in refused.stderr
    assert run(promote, manifest, "churn", "4", "--force").exit_code == 0
