"""What lies in a repository and is no version of it: named once, with what to do, and never in the way of what is."""

import logging
from pathlib import Path

import pytest
from model_manager.errors import SourceUnreadable
from model_manager.repository.ignored import may_be_meant
from model_manager.repository.source import Source


def put(folder: Path, *places: str) -> Source:
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(b"model")
    return Source(folder)


def ignored(source: Source) -> list[tuple[str, str, str]]:
    """Model, version and reason of what was ignored."""
    return [(one.model, one.version, one.why) for one in source.read().ignored]


@pytest.mark.parametrize("name", ["clf.bin", "model.joblib.gz", "model", "estimator.p", "weights.zip", "model.json"])
def test_an_artifact_under_another_name_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    source = put(tmp_path, "iris/1/model.joblib", f"iris/2/{name}", "iris/2/metadata.json")
    (one,) = source.read().ignored
    assert one == (
        *("iris", "2", f"{tmp_path}/iris/2"),
        f"it holds {name}, which is not called as artifacts are: name it model.joblib if joblib or pickle wrote it",
    )
    assert (list(source.read().models["iris"].versions), source.read().models["iris"].default) == (["1"], "1")


def test_of_several_some_are_named(tmp_path: Path) -> None:
    source = put(tmp_path, "iris/1/model.joblib", *(f"iris/2/{name}.bin" for name in "abcde"))
    assert ignored(source)[0][2] == (
        "it holds a.bin, b.bin, c.bin and 2 more, which is not called as artifacts are: name the right one model.joblib"
    )


@pytest.mark.parametrize(
    ("place", "model", "version", "why"),
    [
        ("iris.joblib", "iris.joblib", "", "put it at <model>/<version>/model.joblib, or name it in models.yaml"),
        ("models/iris/1/model.joblib", "models", "iris", "1/model.joblib lies too deep in it"),
        ("iris/2/build/iris/model.pkl", "iris", "2", "build/iris/model.pkl lies too deep in it"),
        ("iris/clf.bin", "iris", "", "put it into a folder named after its version"),
        ("iris/v 2/model.joblib", "iris", "v 2", "a model or version is named with letters"),
        ("new models/2/model.joblib", "new models", "", "a model or version is named with letters"),
    ],
)
def test_a_package_too_deep_too_shallow_or_of_a_name_that_is_none(
    tmp_path: Path, place: str, model: str, version: str, why: str
) -> None:
    ((found_model, found_version, found_why),) = ignored(put(tmp_path, "iris/1/model.joblib", place))
    assert (found_model, found_version) == (model, version)
    assert found_why.startswith(why)


@pytest.mark.parametrize(
    "place",
    [
        *("iris/.tmp-2/clf.bin", "iris/2/.model.joblib.Xa1b", "iris/2/model.joblib.part", "iris/2/model.joblib~"),
        *("iris/2/model.joblib.1f3a9B7c", "iris/2/metadata.json", "iris/2/README.md", "iris/2/train.csv.gz"),
        *("iris/notes", "README.md", "lost+found/x", "iris/2/LICENSE", ".cache/1/model.joblib", "iris/2/model.sig"),
    ],
)
def test_copies_under_way_and_what_lies_beside_models_is_passed_over_in_silence(tmp_path: Path, place: str) -> None:
    assert ignored(put(tmp_path, "iris/1/model.joblib", place)) == []


def test_it_is_logged_once_and_again_when_it_comes_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = put(tmp_path, "iris/1/model.joblib", "iris/2/clf.bin")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            source.read()
        assert [record.getMessage()[: len(f"ignored {tmp_path}/iris/2:")] for record in caplog.records] == [
            f"ignored {tmp_path}/iris/2:"
        ]
        (tmp_path / "iris" / "2" / "clf.bin").rename(tmp_path / "iris" / "2" / "model.joblib")
        assert source.read().ignored == ()
        (tmp_path / "iris" / "2" / "model.joblib").rename(tmp_path / "iris" / "2" / "clf.bin")
        source.read()
    assert len(caplog.records) == 2


def test_a_folder_with_nothing_else_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"holds no model: .*; ignored .*/iris\.joblib: put it at <model>"):
        put(tmp_path, "iris.joblib").read()


def test_thousands_of_them_are_not_all_told(tmp_path: Path) -> None:
    source = put(tmp_path, "iris/1/model.joblib", *(f"{number}.joblib" for number in range(150)))
    assert len(source.read().ignored) == 100


def test_names_are_judged_by_their_ends() -> None:
    meant = {"a.joblib", "a.PKL", "a.h5", "a.tar.gz", "model.cbm", "model.txt"}
    others = {"a.txt", "model.md", "Makefile", "a.CSV", "a.yaml", ".a.joblib", "a.joblib.tmp"}
    assert {name for name in meant | others if may_be_meant(name)} == meant
