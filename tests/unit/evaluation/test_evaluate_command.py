"""`model-manager evaluate` as people and pipelines call it: what is printed, written, and the code it ends with."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import joblib
import pytest
from click.testing import CliRunner, Result
from model_manager import write_package
from model_manager.cli import cli
from model_manager.evaluation import report as reports
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.unit.commands.forked import Commands
from tests.unit.evaluation.staging import homes, leaving, loud, with_prices, with_sold

_VOID = {"meta", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Holds a page to its tags being closed in order, and gathers what it shows and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.shown: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetching = [value for name, value in attrs if name in ("src", "href", "xlink:href", "action") and value]
        self.fetched += [value for value in fetching if not value.startswith("#")]
        self.open += [tag] if tag not in _VOID else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style",):
            self.shown.append(data)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "homes & <more>.csv"
    with_sold(homes(200, seed=2)).to_csv(path, index=False)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])


def document(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_a_process_prints_tables_for_people_and_a_pipeline_sees_the_gate(
    repository: Path, data: Path, commands: Commands
) -> None:
    arguments = ["evaluate", repository / "sold" / "1", "--data", data, "--by", "zip", "--resamples", "100"]
    arguments += ["--fail-if", "accuracy.low < 0.99", "--fail-if", "recall < 0.1"]
    ended = commands.run(*arguments, environment={"COLUMNS": "100"})
    assert (ended.status, ended.stderr) == (1, "")
    assert "It answers " in ended.stdout
    assert re.search(r"accuracy +│ 0\.\d{3} │ 0\.\d{3} – 0\.\d{3} │ ↑", ended.stdout)
    assert re.search(r"01234 +│ +\d+ │.*too few rows to tell", ended.stdout)
    assert re.search(r"accuracy.low < 0.99 +│ fails  │ accuracy.low is 0\.\d+", ended.stdout)
    assert re.search(r"recall < 0.1 +│ passes │", ended.stdout)


def test_one_json_document_stands_alone(repository: Path, data: Path) -> None:
    found = document(repository / "sold" / "1", "--data", data, "--resamples", 50, "--seed", 3)
    assert (found["model"], found["target"], found["data"]["rows"], found["seed"]) == ("sold", "sold", 200, 3)
    assert found == document(repository / "sold" / "1", "--data", data, "--resamples", 50, "--seed", 3)
    other = document(repository / "sold" / "1", "--data", data, "--resamples", 50, "--seed", 4)
    assert other["metrics"]["accuracy"]["value"] == found["metrics"]["accuracy"]["value"]
    assert other["metrics"] != found["metrics"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--fail-if", "accuracy < 0.01"], 0),
        (["--fail-if", "accuracy > 0.01"], 1),
        (["--fail-if", "accuracy > 0.01", "--fail-if", "accuracy.low > 2"], 1),
        (["--resamples", 0, "--fail-if", "accuracy.low > 0"], 3),  # there are no intervals
        (["--resamples", 0, "--fail-if", "accuracy.low > 0", "--fail-if", "accuracy > 0"], 1),
        (["--positive", "no"], 0),
    ],
)
def test_exit_codes(repository: Path, data: Path, arguments: list[object], code: int) -> None:
    quick = [] if "--resamples" in arguments else ["--resamples", 20]
    assert run(repository / "sold" / "1", "--data", data, *arguments, *quick).exit_code == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{repository}/sold/1", "--data", "nowhere.csv"], "nowhere.csv: no such file"),
        (["{repository}/sold/2", "--data", "{data}"], "there is no such folder; beside it there is 1"),
        (["{repository}", "--data", "{data}"], "holds several versions; name one"),
        (["{repository}/sold/1", "--data", "{data}", "--by", "zipp"], "did you mean 'zip'?"),
        (["{repository}/sold/1", "--data", "{data}", "--fail-if", "accuracy <"], "'accuracy <', column 11: "),
        (["{repository}/sold/1", "--data", "{data}", "--positive", "maybe"], "no label 'maybe'; the model knows"),
        (["{repository}/kind/1", "--data", "{data}", "--positive", "maybe", "--target", "zip"], "is chosen of two"),
        (["{repository}/sold/1", "--data", "{data}", "--report", "nowhere/x.html"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(repository: Path, data: Path, arguments: list[str], said: str) -> None:
    result = run(*(one.format(repository=repository, data=data) for one in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_report_is_one_page_that_fetches_nothing(repository: Path, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = run(
        *(repository / "sold" / "1", "--data", data, "--by", "zip", "--resamples", 50, "--report", path),
        *("--fail-if", "accuracy < 0.1"),
    )
    assert result.exit_code == 0, result.stderr
    assert f"report: {path}" in result.stdout.replace("\n", "")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.fetched == []
    assert "url(http" not in text
    assert "@import" not in text
    shown = " ".join(page.shown)
    for words in (
        "sold, version 1",
        "It answers",
        "homes & <more>.csv",
        "Calibration",
        "01234",
        "accuracy < 0.1",
        "What moves",
    ):
        assert words in shown
    drawn = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    assert [ElementTree.fromstring(one).get("aria-label") for one in drawn] == [
        *("roc", "precision-recall", "calibration", "dependence", "dependence", "segments")
    ]
    assert "#01010" not in text, "colours are the page's"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_the_report_of_a_quantity_shows_residuals(repository: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    with_prices(homes(60, seed=3)).to_csv(prices, index=False)
    path = tmp_path / "report.html"
    result = run(repository / "price" / "1", "--data", prices, "--target", "price", "--resamples", 20, "--report", path)
    assert result.exit_code == 0, result.stderr
    shown = " ".join(Page(path.read_text(encoding="utf-8")).shown)
    assert "nine of ten lie between" in shown
    assert "On average its answers are off by" in shown


def test_a_report_without_matplotlib_says_what_to_install(
    repository: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "find_spec", lambda name: None)
    result = run(repository / "sold" / "1", "--data", data, "--report", tmp_path / "report.html")
    assert result.exit_code == 2
    assert "pip install 'model-manager-server[report]'" in result.stderr
    assert run(repository / "sold" / "1", "--data", data, "--resamples", 0, "--json").exit_code == 0


def test_a_report_that_cannot_be_written_leaves_nothing(repository: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.html").mkdir()
    result = run(repository / "sold" / "1", "--data", data, "--resamples", 0, "--report", tmp_path / "taken.html")
    assert result.exit_code == 2
    assert [one.name for one in tmp_path.iterdir()] == ["taken.html"]


def test_what_a_model_prints_or_ends_is_kept_from_who_reads_the_answer(tmp_path: Path) -> None:
    frame = with_prices(homes(40, seed=3)).drop(columns="zip")
    X, data = frame[["größe", "age"]], tmp_path / "data.csv"
    frame.to_csv(data, index=False)
    model = make_pipeline(FunctionTransformer(loud), LinearRegression()).fit(X, frame["price"])
    write_package(model, name="loud", version="1", repository=tmp_path, sample=X)
    assert document(tmp_path / "loud" / "1", "--data", data, "--resamples", 5)["model"] == "loud"
    (tmp_path / "leaving" / "1").mkdir(parents=True)
    model.set_params(functiontransformer__func=leaving)
    joblib.dump(model, tmp_path / "leaving" / "1" / "model.joblib")
    result = run(tmp_path / "leaving" / "1", "--data", data)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "SystemExit" in result.stderr


def test_help_shows_examples_and_exit_codes() -> None:
    told = run("--help").stdout
    for words in ("Exit codes:", "--fail-if", "model-manager evaluate build/models/churn/1 --data customers.csv"):
        assert words in told
