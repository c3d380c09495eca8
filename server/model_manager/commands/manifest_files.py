"""What `promote` and `rollback` share: reading MODELS.yaml or standard input, showing a change, writing it back."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_manager.commands.terminal import fail, print_json

if TYPE_CHECKING:
    from model_manager.manifests.holding import Holder

STANDARD = "-"

manifest_argument = click.argument("models_yaml", metavar="MODELS.yaml", type=click.Path(path_type=Path))
dry_run_option = click.option("--dry-run", is_flag=True, help="Show the change, and write nothing.")
force_option = click.option("--force", is_flag=True, help="Take a version that failed the gates of its evaluation too.")
by_option = click.option(
    "--by",
    metavar="WHO",
    help="Who makes the change, for changed-by.json.  [default: user@host, if that file is there]",
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A manifest that was read: what held it, its bytes, where from, and what messages call it."""

    path: Path
    name: str
    content: bytes
    holder: "Holder"

    @property
    def standard(self) -> bool:
        """Whether it came by standard input, and goes to standard output."""
        return str(self.path) == STANDARD


def open_manifest(path: Path, *, as_json: bool) -> Opened:
    """Read a manifest, or a ConfigMap with one; what cannot be read ends the command."""
    from model_manager.errors import ChangeRefused
    from model_manager.manifests.holding import read_holder
    from model_manager.repository.from_manifest import MANIFEST

    if str(path) == STANDARD:
        if as_json:
            raise click.UsageError("what was changed goes to standard output, where --json would go: choose one")
        content, name, folder = sys.stdin.buffer.read(), "standard input", None
    else:
        path = path / MANIFEST if path.is_dir() else path
        name, folder = str(path), path.absolute().parent
        try:
            content = path.read_bytes()
        except OSError as error:
            fail(f"{path} cannot be read: {error.strerror}")
    try:
        return Opened(path, name, content, read_holder(content, name, folder))
    except ChangeRefused as error:
        fail(str(error))


def finish(opened: Opened, new: bytes, *, by: str | None, dry_run: bool, told: Mapping[str, Any], line: str) -> None:
    """Write the new manifest unless it is a dry run; show the change and say `line`, or print `told` where it is JSON.

    `told` is empty where nobody asked for JSON.
    """
    from model_manager.errors import ChangeRefused
    from model_manager.manifests.changing import diff

    old = opened.holder.manifest
    shown = diff(old, new, opened.path.name if not opened.standard else "models.yaml")
    try:
        if not dry_run:
            _write(opened, new, by)
    except ChangeRefused as error:
        fail(str(error))
    if told:
        print_json({**told, "changed": new != old, "written": new != old and not dry_run, "diff": shown})
        return
    for each in shown.splitlines():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(each[0])
        click.echo(click.style(each, fg=colour), err=opened.standard)
    click.echo(f"{line}{' (a dry run: nothing was written)' if dry_run and new != old else ''}", err=opened.standard)


def _write(opened: Opened, new: bytes, by: str | None) -> None:
    from model_manager.manifests.provenance import ChangedBy
    from model_manager.manifests.writing import write_manifest

    changed = new != opened.holder.manifest
    if opened.standard:  # what is piped on is whole, whether or not anything changed
        sys.stdout.buffer.write(opened.holder.holding(new, ChangedBy.now(by)) if changed else opened.content)
        sys.stdout.buffer.flush()
    elif changed:
        write_manifest(opened.path, opened.content, opened.holder, new, by)
