"""Which version a release may be, and that every place says the same one: tools.release, on small repositories."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_manager.version import __version__

from tests.conftest import ROOT
from tools.release import changelog, cutting, versions
from tools.release.commands import Refused
from tools.release.versions import Version

numbers = st.integers(min_value=0, max_value=10**6)
PLACES = ("pyproject.toml", "server/model_manager/version.py", "charts/model-manager/Chart.yaml", "docs/image.md")
CHANGES = "# Changelog\n\n## Unreleased\n\n### Added\n- Something.\n\n## 0.3.1 - 2026-11-02\n\n### Fixed\n- What was.\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that released 0.3.1, with the files that a release reads."""
    for name in (*PLACES, "README.md", "charts/model-manager/README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "CHANGELOG.md").write_text(CHANGES, encoding="utf-8")
    surface(tmp_path, "a", "b")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path)
    git(tmp_path, "tag", "v0.3.1")
    git(tmp_path, "tag", "v0.3.1-of-someone")
    return tmp_path


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=release-test", "-c", "user.email=release-test@localhost")
    return subprocess.run(
        ["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "What there is")


def surface(root: Path, *names: str) -> None:
    (root / "docs" / "surface.json").write_text(json.dumps({"metrics": names}), encoding="utf-8")


def refusal(root: Path, version: str) -> str:
    with pytest.raises(Refused) as refused:
        cutting.check(root, Version.read(version))
    return str(refused.value)


def test_every_place_says_the_version_that_runs() -> None:
    said = list(versions.said(ROOT))
    assert {path for path, _ in said} >= set(PLACES)
    assert [place for place in said if place[1] != __version__] == []


def test_a_release_writes_its_version_wherever_it_is_said(repository: Path) -> None:
    before = len(list(versions.said(repository)))
    versions.write(repository, Version(0, 10, 3))
    after = list(versions.said(repository))
    assert len(after) == before
    assert {version for _, version in after} == {"0.10.3"}
    changed = git(repository, "diff", "--numstat").splitlines()
    assert {line.split("\t")[2] for line in changed} == set(PLACES)
    assert all(line.split("\t")[0] == line.split("\t")[1] for line in changed)


@given(numbers, numbers, numbers)
def test_versions_are_read_and_ordered_by_their_numbers(major: int, minor: int, patch: int) -> None:
    version = Version.read(f"{major}.{minor}.{patch}")
    assert str(version) == f"{major}.{minor}.{patch}"
    assert version.tag == f"v{version}"
    assert version < Version(major, minor, patch + 1) < Version(major, minor + 1, 0) < Version(major + 1, 0, 0)


@pytest.mark.parametrize("text", ["1.0", "v1.0.0", "01.0.0", "1.0.0-rc.1", "1.0.0+x", "", "1.0.0\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"none: MAJOR\.MINOR\.PATCH"):
        Version.read(text)


def test_a_release_comes_after_the_last_one_and_only_once(repository: Path) -> None:
    cutting.check(repository, Version(0, 3, 2))
    assert refusal(repository, "0.3.0") == "0.3.0 is not after 0.3.1, the last release"
    assert refusal(repository, "0.3.1") == "v0.3.1 is there already: a version is released once"


def test_what_is_not_committed_is_not_released(repository: Path) -> None:
    (repository / "new.py").touch()
    assert refusal(repository, "0.3.2") == "the work tree is not clean: commit or remove\n?? new.py"


def test_what_nobody_would_notice_is_not_released(repository: Path) -> None:
    text = CHANGES.replace("\n### Added\n- Something.\n", "")
    (repository / "CHANGELOG.md").write_text(text, encoding="utf-8")
    commit(repository)
    assert refusal(repository, "0.3.2") == "CHANGELOG.md says nothing under '## Unreleased': what would users get?"


def test_something_new_is_a_minor_version(repository: Path) -> None:
    surface(repository, "a", "b", "c")
    commit(repository)
    assert refusal(repository, "0.3.2") == "after 0.3.1 this is at least 0.4.0, and not 0.3.2: new metrics: c"
    cutting.check(repository, Version(0, 4, 0))


def test_something_gone_is_a_minor_version_before_1_0_and_a_major_one_after(repository: Path) -> None:
    surface(repository, "a")
    commit(repository)
    assert refusal(repository, "0.3.2").endswith("at least 0.4.0, and not 0.3.2: without metrics: b")
    cutting.check(repository, Version(0, 4, 0))
    git(repository, "tag", "v1.2.3", "v0.3.1")
    assert refusal(repository, "1.3.0").endswith("at least 2.0.0, and not 1.3.0: without metrics: b")
    cutting.check(repository, Version(2, 0, 0))


@pytest.mark.parametrize("line", ["### Removed\n- Something.", "### Changed\n- **Something else.**"])
def test_what_the_changelog_calls_breaking_is_no_patch(repository: Path, line: str) -> None:
    text = CHANGES.replace("### Added\n- Something.", line)
    (repository / "CHANGELOG.md").write_text(text, encoding="utf-8")
    commit(repository)
    assert refusal(repository, "0.3.2").endswith("and not 0.3.2: what the changelog says in bold or removed")


def test_the_first_release_may_be_any_version(repository: Path) -> None:
    git(repository, "tag", "--delete", "v0.3.1")
    cutting.check(repository, Version(0, 1, 0))


def test_what_a_rehearsal_left_is_in_the_way_of_no_release(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "release-test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "release-test@localhost")
    left = repository / "build" / "release" / "0.4.0" / "SHA256SUMS"
    left.parent.mkdir(parents=True)
    left.write_text("of another commit", encoding="utf-8")
    with pytest.raises(Refused, match=r"make .*image"):  # which is not here: it came as far as that
        cutting.cut(repository, Version(0, 4, 0), left.parent, registry=None, signing=None, for_real=True)
    assert not left.exists()
    assert git(repository, "tag", "--list", "v0.4.0") == ""


def test_tests_may_have_passed_on_this_commit_alone(repository: Path) -> None:
    cutting.test(repository, "HEAD")
    commit(repository)
    with pytest.raises(Refused, match=r"TESTED=v0\.3\.1 is not the commit to be released"):
        cutting.test(repository, "v0.3.1")
    with pytest.raises(Refused, match="no-such-commit"):
        cutting.test(repository, "no-such-commit")


def test_the_changelog_is_dated_and_its_section_is_told() -> None:
    text = changelog.dated(CHANGES, Version(0, 4, 0), "2026-11-28")
    assert "## Unreleased\n\n## 0.4.0 - 2026-11-28\n\n### Added\n- Something.\n\n## 0.3.1" in text
    assert changelog.notes(text, Version(0, 4, 0)) == "### Added\n- Something.\n"
    assert changelog.notes(text, Version(0, 3, 1)) == "### Fixed\n- What was.\n"
    with pytest.raises(Refused, match="says nothing"):
        changelog.unreleased(text)
    with pytest.raises(Refused, match=r"has no section '## 0\.3\.2'"):
        changelog.notes(text, Version(0, 3, 2))


def test_the_changelog_of_this_project_can_be_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    after = changelog.dated(text, Version.read(__version__), "2026-11-28")
    assert changelog.notes(after, Version.read(__version__))
