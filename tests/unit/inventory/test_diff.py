"""`diff`: what two packages differ in, part by part, and nothing where they do not."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.inventory.differences import differences
from sklearn.base import BaseEstimator, ClassifierMixin

from tests.unit.inventory.staging import rows_of, run


class Refusing(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier that does not say what it was made with."""

    classes_ = (0, 1)

    def predict(self, X: Any) -> Any:
        return [0 for _ in X]

    def get_params(self, deep: bool = True) -> Any:
        raise ValueError("not now")


def compared(*arguments: object) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    result = run("diff", *arguments, "--json")
    document = json.loads(result.stdout)
    assert document["equal"] == (result.exit_code == 0)
    return result.exit_code, {(one["of"], one["what"]): one for one in document["differences"]}


def test_a_copy_under_another_name_is_equal(repository: Path) -> None:
    shutil.copytree(repository / "iris" / "1", repository / "flowers" / "9")
    assert compared(repository / "iris" / "1", repository / "flowers" / "9", "--load") == (0, {})
    assert run("diff", repository / "iris" / "1", repository / "flowers" / "9").stdout.endswith("equal\n")


def test_two_fits_differ_in_bytes_evaluation_and_parameters(repository: Path) -> None:
    code, found = compared(repository / "iris" / "1", repository / "iris" / "2", "--load")
    assert code == 1
    assert {place for place in found if place[0] != "artifact"} == {
        ("evaluation", "metrics.accuracy"),
        ("estimator", "parameters.C"),
    }
    assert found["evaluation", "metrics.accuracy"]["by"] == pytest.approx(0.05)
    assert (found["estimator", "parameters.C"]["a"], found["estimator", "parameters.C"]["b"]) == (1.0, 0.01)
    assert ("estimator", "parameters.C") not in compared(repository / "iris" / "1", repository / "iris" / "2")[1]


def test_people_see_metrics_side_by_side_equal_ones_too(repository: Path) -> None:
    rows = rows_of(run("diff", repository / "iris" / "1", repository / "iris" / "2", width=80).stdout)
    assert rows[0] == ["metric", "iris/1", "iris/2", "difference"]
    assert rows[1:3] == [["accuracy", "0.9", "0.95", "+0.05"], ["log loss", "0.25", "0.25", "+0"]]


def _edited(package: Path, edit: Any) -> None:
    path = package / "metadata.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    edit(said)
    path.write_text(json.dumps(said), encoding="utf-8")


def test_inputs_outputs_data_and_libraries(repository: Path) -> None:
    other = Path(shutil.copytree(repository / "iris" / "1", repository / "iris" / "3"))

    def edit(said: dict[str, Any]) -> None:
        said["inputs"][0]["name"] = "stalk length"
        del said["outputs"][1]
        said["data"]["sha256"] = "0" * 64
        said["framework"]["version"] = "1.2.3"

    _edited(other, edit)
    _, found = compared(repository / "iris" / "1", other)
    assert {place: one["change"] for place, one in found.items()} == {
        ("inputs", "sepal length (cm)"): "removed",
        ("inputs", "stalk length"): "added",
        ("outputs", "predict_proba"): "removed",
        ("data", "sha256"): "changed",
        ("framework", "version"): "changed",
    }


def test_the_order_of_columns_is_a_difference(repository: Path) -> None:
    other = Path(shutil.copytree(repository / "iris" / "1", repository / "iris" / "3"))
    _edited(other, lambda said: said["inputs"].reverse())
    assert list(compared(repository / "iris" / "1", other)[1]) == [("inputs", "order")]


def test_what_cannot_be_compared_ends_with_one_line(repository: Path) -> None:
    one = repository / "iris" / "1"
    (repository / "iris" / "5").mkdir()
    joblib.dump(Refusing(), repository / "iris" / "5" / "model.joblib")
    for arguments, told in (
        ([one, repository / "iris"], "holds several versions; name one"),
        ([one, repository / "iris" / "9"], "there is no such folder"),
        ([one, "http://127.0.0.1:1"], "name a model of the server, and a version"),
        ([one, "http://127.0.0.1:1/iris/1"], "http://127.0.0.1:1 cannot be asked"),
        ([one, "http://127.0.0.1:1/iris/1", "--load"], "leave --load out"),
        ([one, repository / "iris" / "5", "--load"], "get_params raised ValueError: not now"),
    ):
        result = run("diff", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr
        assert len(result.stderr.splitlines()) == 1
    (repository / "iris" / "2" / "metadata.json").write_bytes(b"{")
    assert "metadata_invalid" in run("diff", one, repository / "iris" / "2").stderr


_leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2) | st.lists(st.integers(0, 2))
_parts = st.dictionaries(
    st.sampled_from(["data", "evaluation", "libraries", "card"]), st.dictionaries(st.text("ab", min_size=1), _leaves)
)


@given(a=_parts, b=_parts)
def test_whatever_differs_is_found_and_nothing_else(a: dict[str, Any], b: dict[str, Any]) -> None:
    names = {(part, name) for said in (a, b) for part, values in said.items() for name in values}
    missing = object()
    expected = {
        (part, name) for part, name in names if a.get(part, {}).get(name, missing) != b.get(part, {}).get(name, missing)
    }
    found = differences(a, b)
    assert {(one.of, one.what) for one in found} == expected
    assert len(found) == len(expected)
    assert differences(a, copy.deepcopy(a)) == []
