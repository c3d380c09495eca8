"""One release from start to end, in a work tree of its own: what is not committed gets into no release."""

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tools.release import changelog
from tools.release.building import Signing, build
from tools.release.commands import Refused, git, run
from tools.release.versions import Version, check_step, write

_CHANGELOG = "CHANGELOG.md"


def check(root: Path, version: Version) -> None:
    """Raise Refused unless this commit can become that version."""
    changed = git(root, "status", "--porcelain")
    if changed:
        raise Refused(f"the work tree is not clean: commit or remove\n{changed}")
    if git(root, "tag", "--list", version.tag):
        raise Refused(f"{version.tag} is there already: a version is released once")
    check_step(root, version, changelog.unreleased((root / _CHANGELOG).read_text(encoding="utf-8")))


def test(root: Path, tested: str | None) -> None:
    """Run every check and test, unless they passed on this very commit. Raises Refused."""
    head = git(root, "rev-parse", "HEAD")
    if tested is None:
        run("make", "--no-print-directory", "check", "test", cwd=root)
    elif git(root, "rev-parse", "--verify", f"{tested}^{{commit}}") != head:
        raise Refused(f"TESTED={tested} is not the commit to be released, {head}")


def cut(
    root: Path, version: Version, folder: Path, *, registry: str | None, signing: Signing | None, for_real: bool
) -> list[Path]:
    """Commit the version, build its files and image of that commit; keep commit and tag only `for_real`.

    Returns the files, which take the place of those of a rehearsal. Whatever fails leaves the branch as it was.
    Raises Refused.
    """
    if folder.exists():
        shutil.rmtree(folder)
    with _work_tree(root) as tree:
        commit = _commit(tree, version)
        files = build(tree, version, folder, registry=registry, signing=signing)
        git(tree, "diff", "--exit-code", "HEAD")
    if for_real:
        git(root, "merge", "--ff-only", "--quiet", commit)
        git(root, "tag", "--annotate", "--message", f"model-manager {version}", version.tag, commit)
    return files


def _commit(tree: Path, version: Version) -> str:
    """Write version and date where they belong, and return the commit that does."""
    write(tree, version)
    file = tree / _CHANGELOG
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    file.write_text(changelog.dated(file.read_text(encoding="utf-8"), version, today), encoding="utf-8")
    git(tree, "commit", "--all", "--quiet", "--message", f"Release {version}")
    click.echo(git(tree, "show", "--stat", "--format=%h %s", "HEAD"), err=True)
    return git(tree, "rev-parse", "HEAD")


@contextmanager
def _work_tree(root: Path) -> Iterator[Path]:
    tree = root / "build" / "release" / "source"
    git(root, "worktree", "prune")
    if tree.exists():
        git(root, "worktree", "remove", "--force", str(tree))
    git(root, "worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
    try:
        yield tree
    finally:
        git(root, "worktree", "remove", "--force", str(tree))
