"""What `pack` and `train` have in common: options, and what they print of the package that they wrote."""

import datetime
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from model_manager.commands.terminal import new_table, print_table

if TYPE_CHECKING:
    from model_manager.repository.metadata import ColumnInput, DataInfo, Metadata, TensorInput

created_option: Callable[[Any], Any] = click.option(
    "--created",
    type=int,
    envvar="SOURCE_DATE_EPOCH",
    show_envvar=True,
    metavar="SECONDS",
    help="Time of creation to record, in seconds since 1970.  [default: now]",
)
"""With it, the same inputs give the same bytes."""


def moment(epoch: int | None) -> datetime.datetime | None:
    """Read SOURCE_DATE_EPOCH, by which reproducible builds fix the time they write into files."""
    if epoch is None:
        return None
    try:
        return datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        raise click.UsageError(f"--created {epoch} is no time in seconds since 1970") from None


def document_of(folder: Path, notes: Iterable[str]) -> dict[str, Any]:
    """Say of a package in a folder what a program may want to know next."""
    from model_manager.packaging.public import describe_public

    metadata = _metadata_of(folder)
    said = metadata.model_dump(mode="json", exclude_none=True, include=_TOLD)
    return {
        "model": metadata.name,
        "version": metadata.version,
        "path": str(folder),
        **said,
        "signed": (folder / "model.sig").exists(),
        "golden_rows": len(metadata.golden.instances) if metadata.golden is not None else 0,
        "public": describe_public(metadata),
        "notes": list(notes),
    }


_TOLD: Final = {"artifact", "inputs", "outputs", "data", "evaluation", "card", "libraries"}


def print_package(folder: Path, notes: Iterable[str], *, holdout: Path | None) -> None:
    """Print what was written, what anybody will see of it, and what to do with it."""
    from rich.markup import escape

    from model_manager.packaging.public import describe_public

    metadata = _metadata_of(folder)
    table = new_table(None, ["", ""])
    table.show_header = False
    for what, told in _rows(folder, metadata):
        table.add_row(what, escape(told))
    print_table(table)
    for line in (*notes, *describe_public(metadata)):
        click.echo(line)
    print_next(folder, holdout)


def print_next(folder: Path, data: Path | None) -> None:
    """Print the commands that come next."""
    repository = shlex.quote(str(folder.parent.parent))
    shown = shlex.quote(str(data)) if data is not None else "OTHER_ROWS.csv"
    click.echo("next:")
    click.echo(f"  model-manager evaluate {shlex.quote(str(folder))} --data {shown}")
    click.echo(f"  model-manager serve --models {repository}")


def scores_text(metrics: dict[str, float]) -> str:
    """Write scores for people."""
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())


def _metadata_of(folder: Path) -> "Metadata":
    from model_manager.repository.metadata import parse_metadata

    return parse_metadata((folder / "metadata.json").read_bytes())


def _rows(folder: Path, metadata: "Metadata") -> Iterable[tuple[str, str]]:
    artifact, inputs = metadata.artifact, metadata.inputs or ()
    yield "model", f"{metadata.name}/{metadata.version}"
    yield "path", str(folder)
    if artifact is not None:
        yield "artifact", f"{artifact.file}, {artifact.bytes / 1024:,.0f} KiB, sha256 {artifact.sha256[:12]}…"
    yield "inputs", ", ".join(map(_input, inputs[:8])) + _more(len(inputs) - 8)
    yield "outputs", ", ".join(one.name for one in metadata.outputs or () if not one.on_request)
    if metadata.data is not None:
        yield "data", _data(metadata.data)
    if metadata.evaluation is not None:
        yield "hold-out", f"{metadata.evaluation.dataset}, {metadata.evaluation.rows:,} rows"
        yield "scores", scores_text(metadata.evaluation.metrics)
    if metadata.card is not None:
        for field in ("owner", "description", "intended_use"):
            if text := getattr(metadata.card, field):
                yield field.replace("_", " "), text
    libraries = (f"{one.name} {one.version or '(of no library)'}" for one in metadata.libraries or ())
    yield "libraries", ", ".join(libraries)
    if (folder / "model.sig").exists():
        yield "signature", "model.sig"


def _input(one: "ColumnInput | TensorInput") -> str:
    columns: Sequence[str] = getattr(one, "columns", None) or ()
    names = f": {', '.join(columns[:8])}{_more(len(columns) - 8)}" if columns else ""
    return (
        f"{one.name} ({one.datatype} {one.shape}{names})" if hasattr(one, "shape") else f"{one.name} ({one.datatype})"
    )


def _more(count: int) -> str:
    return f" and {count:,} more" if count > 0 else ""


def _data(data: "DataInfo") -> str:
    parts = [f"{data.rows:,} rows, {data.columns:,} columns", f"sha256 {data.sha256[:12]}…"]
    if data.target is not None:
        parts.append(f"target {data.target}")
    if data.version is not None:
        parts.append(f"version {data.version}")
    if data.git_commit is not None:
        parts.append(f"git {data.git_commit[:12]} {data.git_path}")
    if data.dvc_md5 is not None:
        parts.append(f"DVC md5 {data.dvc_md5[:12]}…")
    return ", ".join(parts)
