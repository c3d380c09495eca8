"""`model-manager publish`: the command, what it prints, and its exit codes."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table
from model_manager.errors import PackageRefused, StoreFailed, VersionTaken

if TYPE_CHECKING:
    from model_manager.packaging.uploading import Package, Published

_INTERRUPTED = 130

_PUBLISH = """\b
Exit codes:
  0  published, or it is there already with the same bytes
  1  the version is there with other bytes
  2  wrong usage, or it could not be published; nothing of it is served, and the same command goes on

\b
Examples:
  model-manager publish build/models/iris/2 s3://models
  model-manager publish build/models/iris/2 gs://models/production --json
  model-manager publish build/models/iris/2 az://models
  model-manager publish build/models/iris/2 https://artifacts.example.com/models
  model-manager publish build/models/iris/2 /mnt/models

Credentials are taken from the environment, by the names that the cloud's own tools use; docs/stores.md lists them.
Object stores need obstore: pip install 'model-manager[remote]'.
"""


@click.command(epilog=_PUBLISH)
@click.argument("version", metavar="REPO/N/V", type=click.Path(path_type=Path))
@click.argument("destination", metavar="DEST")
@json_option
def publish(version: Path, destination: str, as_json: bool) -> None:
    """Publish a version to the repository DEST: a folder, s3://…, gs://…, az://… or https://….

    A version is published whole or not at all, and never overwritten.
    """
    from model_manager.packaging.uploading import is_folder, publish_package, read_package
    from model_manager.repository.references import read_reference

    try:
        reference = read_reference(version)
        folder = reference.package()
        package = read_package(folder)
        name, number = folder.parent.name, folder.name
        with _progress(package) as told:
            published = _interruptible(
                lambda: publish_package(package, name, number, destination, told), waits=not is_folder(destination)
            )
    except KeyboardInterrupt:
        fail(f"interrupted; to go on: model-manager publish {version} {destination}", _INTERRUPTED)
    except VersionTaken as error:
        fail(str(error), 1)
    except (PackageRefused, StoreFailed) as error:
        fail(str(error), 2)
    _tell(name, number, published, as_json)


def _tell(name: str, version: str, published: "Published", as_json: bool) -> None:
    entry = {"artifact": published.artifact, "sha256": published.sha256}
    manifest = f"models:\n  {name}:\n    versions:\n      {json.dumps(version)}:\n" + "".join(
        f"        {key}: {value}\n" for key, value in entry.items()
    )
    if as_json:
        print_json(
            {
                "model": name,
                "version": version,
                "published": not published.already,
                "uri": published.artifact,
                "sha256": published.sha256,
                "bytes": published.bytes,
                "manifest": manifest,
            }
        )
        return
    table = new_table(None, ("", f"{name}/{version}"))
    table.add_row("outcome", "there already, with the same bytes" if published.already else "published")
    table.add_row("artifact", published.artifact)
    table.add_row("sha256", published.sha256)
    table.add_row("bytes", f"{published.bytes:,}")
    print_table(table)
    click.echo(f"\nTo serve it, in models.yaml:\n\n{manifest}", nl=False)


@contextmanager
def _progress(package: "Package") -> Iterator[Callable[[int], None]]:
    """Show on standard error how much of the artifact was sent, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(package.artifact, total=package.bytes)
        yield lambda bytes: progress.advance(task, bytes)


def _interruptible(call: "Callable[[], Published]", *, waits: bool) -> "Published":
    """Call on a thread, so that Ctrl-C is heard while a store keeps it waiting, where it `waits` for one.

    Elsewhere Ctrl-C ends the call itself, which then clears away what it wrote half.
    """
    if not waits:
        return call()
    found: list[Published | BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, name="publish", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    (result,) = found
    if isinstance(result, BaseException):
        raise result
    return result
