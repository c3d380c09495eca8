"""`model-manager predict`: a file of any number of rows → the same file with a version's answers beside them.

In the flow: cli → **predict** → scoring.opening → scoring.running. What takes long to import is imported when it runs.
"""

import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import click

from model_manager.commands.asking import key_options, plain
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table
from model_manager.errors import ModelManagerError

if TYPE_CHECKING:
    from model_manager.scoring.running import Scored, Version, Wanted
    from model_manager.scoring.sources import Source
    from model_manager.scoring.unfinished import Progress

_EPILOG = """\b
Exit codes:
  0  every row is answered
  1  --keep-going, and some rows were refused: the column "error" says why
  2  wrong usage, a row is refused, or it cannot be done

\b
Examples:
  model-manager predict --url http://localhost:8080 --model churn customers.csv -o scored.csv
  model-manager predict --package build/models/churn/1 customers.parquet -o scored.parquet --outputs predict_proba
  zcat customers.jsonl.gz | model-manager predict --url http://localhost:8080 --model churn/2 - > scored.jsonl

FILE is CSV, JSON lines (an object a line), Parquet or Arrow, told by its content; - is standard input. What is written
is of the same kind: the columns of FILE as they are there, and the answers after them. With --out, a run that was
killed goes on where it stood when the same command is given again; until it is whole, it is called OUT.part. All rows
are answered by one version: the one that is the default when the run begins. A pickle is code: with --package, it runs
here.
"""
_ROWS_OF_SERVER: Final = 1_000
_ROWS_OF_PACKAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Opened:
    """What answers, its name, and what tells it from others."""

    version: "Version"
    name: str
    of: dict[str, Any]


@click.command(epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--out", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path), help="[default: stdout]")
@click.option("--url", metavar="URL", help="Ask a running server, such as http://localhost:8080.")
@click.option("--model", metavar="N[/V]", help="The model to ask it for, or a version of it.")
@click.option("--package", metavar="DIR", type=click.Path(path_type=Path), help="Ask a package instead, REPO/N/V.")
@click.option("--outputs", metavar="NAMES", default="", help="Outputs to add.  [default: what the model answers]")
@click.option("--prefix", metavar="TEXT", default="", help="What the names of added columns begin with.")
@click.option("--keep-going", is_flag=True, help='Rows that are refused get an empty answer and an "error".')
@click.option(
    "--batch-rows", type=click.IntRange(1), metavar="N", help="Rows asked at once.  [default: 1000; a package: 10000]"
)
@click.option(
    "--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Requests to a server at a time."
)
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=120,
    show_default=True,
    metavar="SECONDS",
    help="How long a server is asked again that is busy (503) or not there.",
)
@click.option(
    "--skops-trusted", metavar="TYPES", default="", help="Types that a skops artifact may hold, separated by commas."
)
@key_options
@json_option
def predict(
    file: Path,
    out: Path | None,
    url: str | None,
    model: str | None,
    package: Path | None,
    outputs: str,
    prefix: str,
    keep_going: bool,
    batch_rows: int | None,
    concurrency: int,
    patience: float,
    skops_trusted: str,
    api_key_file: Path | None,
    api_key: str | None,
    as_json: bool,
) -> None:
    """Answer every row of FILE, by a running server or by a package, and write the rows with their answers."""
    if (url is None) == (package is None) or (url is None) != (model is None):
        raise click.UsageError("name what answers: --url and --model, or --package")
    if as_json and out is None:
        raise click.UsageError("standard output holds the rows: give --out with --json")
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise click.UsageError(f"{out}: it is the file that is read; name another one")
    began, stdout = time.perf_counter(), cast(BinaryIO, sys.stdout.buffer)
    try:
        with redirect_stdout(sys.stderr):  # where models may print
            from model_manager.scoring.added import added_columns, asked_outputs, refuse_taken
            from model_manager.scoring.opening import open_source
            from model_manager.scoring.running import Wanted

            if package is not None:
                opened = _package(package, _names(skops_trusted))
            else:
                key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else api_key
                opened = _served(cast(str, url), cast(str, model), key, patience)
            signature = opened.version.signature
            asked = asked_outputs(signature, _names(outputs))
            added = added_columns(signature, asked, prefix=prefix, with_errors=keep_going)
            at_once = batch_rows or (_ROWS_OF_SERVER if package is None else _ROWS_OF_PACKAGE)
            wanted = Wanted(asked, added, keep_going, at_once, concurrency if package is None else 1)
            with open_source(None if str(file) == "-" else file) as source:
                refuse_taken(added, source.names())
                for note in source.notes:
                    click.echo(f"{file}: {note}", err=True)
                scored, resumed = _scored(source, opened, wanted, file, out or stdout)
    except ModelManagerError as error:
        fail(str(error))
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has what it wanted
        sys.exit(2)
    except KeyboardInterrupt:
        fail("interrupted" + ("" if out is None else "; the same command goes on where this one stood"))
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    _tell(scored, resumed, opened, file, out, time.perf_counter() - began, as_json=as_json)
    sys.exit(1 if scored.refused else 0)


def _names(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _package(path: Path, trusted: list[str]) -> _Opened:
    from model_manager.evaluation.opening import open_package

    opened = open_package(path, skops_trusted=trusted)
    if opened.library_warning is not None:
        click.echo(f"{opened}: {opened.library_warning}", err=True)
    return _Opened(opened, str(opened), {"model": str(opened), "artifact": opened.sha256})


def _served(url: str, model: str, api_key: str | None, patience: float) -> _Opened:
    from urllib.parse import quote

    from model_manager.commands.asking import names_in
    from model_manager.evaluation.comparison_server import ServedVersion, default_version

    name, version = names_in(model)
    if name is None:
        raise click.UsageError("--model names no model")
    version = version or default_version(url, name, api_key)
    address = f"{url.rstrip('/')}/{quote(name, safe='')}/{quote(version, safe='')}"
    served = ServedVersion(address, api_key, patience_s=patience)
    return _Opened(served, f"{served} at {url}", {"model": str(served), "artifact": served.sha256})


def _scored(
    source: "Source", opened: _Opened, wanted: "Wanted", file: Path, out: Path | BinaryIO
) -> "tuple[Scored, int]":
    """Run, into a file that may be there in part, or to a stream."""
    from model_manager.scoring.running import score
    from model_manager.scoring.unfinished import unfinished

    if not isinstance(out, Path):
        with _progress(source, 0) as tell:
            return _to_stream(source, opened, wanted, out, tell), 0
    of = {
        "file": _of_file(file),
        **opened.of,
        "outputs": ",".join(wanted.outputs),
        "columns": ",".join(column.name for column in wanted.added),
    }
    with unfinished(out, of) as begun, _progress(source, begun.resumed) as tell:
        if begun.resumed:
            click.echo(f"{out}: goes on after {begun.resumed:,} rows", err=True)

        def write(content: bytes, progress: "Progress") -> None:
            begun.add(content, progress, of)
            tell(progress.rows)

        scored = score(source, opened.version, wanted, write, done=begun.progress)
        begun.finish(source)
        return scored, begun.resumed


def _to_stream(
    source: "Source", opened: _Opened, wanted: "Wanted", out: BinaryIO, tell: Callable[[int], None]
) -> "Scored":
    """Write every piece at once where pieces one after another are the file; else the file when it is whole."""
    from model_manager.scoring.running import score

    straight = source.kind in ("csv", "jsonl")
    with tempfile.TemporaryFile() as kept:
        to = out if straight else cast(BinaryIO, kept)

        def write(content: bytes, progress: "Progress") -> None:
            to.write(content)
            to.flush()
            tell(progress.rows)

        scored = score(source, opened.version, wanted, write)
        if not straight:
            kept.seek(0)
            with tempfile.TemporaryFile() as whole:
                source.finish(cast(BinaryIO, kept), cast(BinaryIO, whole))
                whole.seek(0)
                shutil.copyfileobj(whole, out)
                out.flush()
        return scored


def _of_file(file: Path) -> str:
    """What tells a file from another one, or from what it was: not its place, which may be mounted elsewhere."""
    if str(file) == "-":
        raise click.UsageError("standard input cannot be read again from where a run stood: leave --out away, or > OUT")
    stat = file.stat()
    return f"{file.name}, {stat.st_size} bytes, of {stat.st_mtime_ns}"


@contextmanager
def _progress(source: "Source", done: int) -> Iterator[Callable[[int], None]]:
    """Show on standard error how many rows are done; nothing where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("rows", total=source.rows, completed=done)
        yield lambda rows: bar.update(task, completed=rows)


def _tell(
    scored: "Scored", resumed: int, opened: _Opened, file: Path, out: Path | None, took_s: float, *, as_json: bool
) -> None:
    rate = (scored.rows - resumed) / took_s
    if as_json:
        print_json(
            {
                "model": opened.of["model"],
                "file": str(file),
                "out": str(out),
                "rows": scored.rows,
                "refused": scored.refused,
                "refusals": scored.told,
                "resumed_after": resumed,
                "seconds": round(took_s, 3),
                "rows_per_second": round(rate, 1),
            }
        )
        return
    for told in scored.told:
        click.echo(f"refused: {told}", err=True)
    if out is None:
        refused = f", {scored.refused:,} refused" if scored.refused else ""
        click.echo(f"{scored.rows:,} rows by {opened.name}{refused}", err=True)
        return
    table = new_table(None, ("", ""))
    table.show_header = False
    table.add_row("answered by", plain(opened.name))
    table.add_row("rows", f"{scored.rows:,}" + (f", of which {resumed:,} were there" if resumed else ""))
    if scored.refused:
        table.add_row("refused", f"{scored.refused:,}; their column of errors says why")
    table.add_row("time", f"{took_s:,.1f} s, {rate:,.0f} rows/s")
    table.add_row("written to", plain(str(out)))
    print_table(table)
