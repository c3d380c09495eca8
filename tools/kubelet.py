"""A ConfigMap volume, written as the kubelet writes one. For whatever needs a mounted folder that changes.

The order is that of the kubelet's atomic writer (kubernetes pkg/volume/util/atomic_writer.go):

1. compare the payload with what is there; equal means that nothing is written at all
2. make a new folder `..<UTC timestamp>.<random>` and write every file into it
3. make the link `..data_tmp` to it, and rename that onto `..data`: the one moment in which everything changes
4. make a top-level link `name -> ..data/name` for every name that has none, and remove those no longer needed
   (older kubelets made the new links before step 3)
5. delete the old folder, file by file, at once
"""

import datetime
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

Step = Literal["written", "linked", "swapped", "unlinked", "deleted"]


class ConfigMapVolume:
    """A folder that holds one ConfigMap. Keys are flat names, or paths that `items[].path` makes: `iris/1/a.json`."""

    def __init__(self, folder: Path, *, links_before_swap: bool = False) -> None:
        self.folder = folder
        self._links_before_swap = links_before_swap
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def current(self) -> Path | None:
        """The folder that `..data` leads to, or None before the first write."""
        link = self.folder / "..data"
        return self.folder / os.readlink(link) if link.is_symlink() else None

    def write(self, data: Mapping[str, bytes], *, at_step: Callable[[Step], None] | None = None) -> bool:
        """Replace the content of the volume, and say whether anything changed.

        `at_step` is called after each step that a reader can see, so that a test can look at every intermediate state.
        """
        for key in data:
            _check(key)
        tell = at_step if at_step is not None else _ignore
        old = self.current
        if old is not None and _payload(old) == dict(data):
            return False
        new = self._write_generation(data)
        tell("written")
        names = {key.split("/")[0] for key in data}
        if self._links_before_swap:
            self._link(names)
            tell("linked")
        self._swap(new)
        tell("swapped")
        if not self._links_before_swap:
            self._link(names)
            tell("linked")
        self._unlink_others(names)
        tell("unlinked")
        if old is not None:
            shutil.rmtree(old)
        tell("deleted")
        return True

    def _write_generation(self, data: Mapping[str, bytes]) -> Path:
        stamp = datetime.datetime.now(datetime.UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
        new = self.folder / (stamp + str(secrets.randbelow(4_000_000_000)))
        new.mkdir(mode=0o755)
        for key, content in data.items():
            path = new / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o644)
        return new

    def _swap(self, new: Path) -> None:
        temporary = self.folder / "..data_tmp"
        temporary.symlink_to(new.name)
        temporary.rename(self.folder / "..data")

    def _link(self, names: set[str]) -> None:
        for name in sorted(names):
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")

    def _unlink_others(self, names: set[str]) -> None:
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.name not in names:
                path.unlink()


def _check(key: str) -> None:
    parts = key.split("/")
    if "" in parts or ".." in parts or key.startswith(".."):
        raise ValueError(f"{key!r} is no key or path of a ConfigMap volume")


def _payload(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _ignore(step: Step) -> None:
    """Nobody is looking."""
