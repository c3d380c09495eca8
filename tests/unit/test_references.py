"""What people write where a package is asked for, and what it means."""

from pathlib import Path

import pytest
from model_manager.errors import PackageRefused
from model_manager.repository.references import Reference, read_reference


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two models; beside their versions what is no version."""
    versions = ("iris/2/model.joblib", "iris/10/model.skops", "wine/1/metadata.json")
    for place in (*versions, "iris/.tmp-3/model.joblib", "a"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "iris" / "notes").mkdir()
    return tmp_path


def test_a_path_is_a_repository_a_model_or_a_version(repository: Path) -> None:
    assert read_reference(repository) == Reference(repository)
    assert read_reference(repository / "iris") == Reference(repository, "iris")
    assert read_reference(repository / "iris" / "10") == Reference(repository, "iris", "10")
    assert read_reference(repository / "wine" / "1").package() == repository / "wine" / "1"


def test_what_lies_in_the_wrong_place_changes_no_meaning(repository: Path) -> None:
    for place in ("iris.joblib", "alone/model.joblib", "iris/stray.pkl", "wine/1/parts/scaler.joblib"):
        (repository / place).parent.mkdir(exist_ok=True)
        (repository / place).touch()
    assert read_reference(repository) == Reference(repository)
    assert read_reference(repository / "iris") == Reference(repository, "iris")
    assert read_reference(repository / "wine") == Reference(repository, "wine")
    assert read_reference(repository / "wine" / "1") == Reference(repository, "wine", "1")


def test_it_names_models_and_versions_in_order(repository: Path) -> None:
    assert read_reference(repository).models() == ["iris", "wine"]
    assert read_reference(repository).versions("iris") == ["2", "10"]
    assert read_reference(repository / "iris").models() == ["iris"]
    assert read_reference(repository / "iris" / "2").versions("iris") == ["2"]


def test_a_relative_path_means_the_same(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "iris")
    assert read_reference(Path("2")) == Reference(repository, "iris", "2")
    assert read_reference(Path(".")) == Reference(repository, "iris")
    assert read_reference(Path("../wine/1/")) == Reference(repository, "wine", "1")


def test_what_is_not_there_is_told_with_what_is(repository: Path) -> None:
    with pytest.raises(PackageRefused, match=r"iris/3: there is no such folder; beside it there is 10, 2, notes"):
        read_reference(repository / "iris" / "3")
    with pytest.raises(PackageRefused, match=r"/a is a file; name the folder"):
        read_reference(repository / "a")
    with pytest.raises(PackageRefused, match=r"several versions; name one: .*iris/10"):
        read_reference(repository / "iris").package()
    with pytest.raises(PackageRefused, match=r"/wine holds one version; name it: .*wine/1"):
        Reference(repository, "wine").package()
    with pytest.raises(PackageRefused, match=r"there is no version in it"):
        read_reference(repository / "iris" / "notes").package()
