"""All rows that two sides answer differently → a CSV file, written beside its name and renamed when it is whole."""

import csv
import io
from pathlib import Path

from model_manager.errors import TableRefused
from model_manager.evaluation.comparison_pairs import disagreements
from model_manager.evaluation.comparison_report import inputs_of, plain
from model_manager.evaluation.comparison_sides import Asked
from model_manager.repository.whole_files import not_written, write_whole
from model_manager.tables.table_files import Table


def refuse_place(path: Path, data: Path) -> None:
    """Raise TableRefused for a file that is the table itself, or whose folder is not there."""
    if path.exists() and data.exists() and path.samefile(data):
        raise TableRefused(f"{path}: it is the table that is compared on; name another file for the rows")
    if not path.absolute().parent.is_dir():
        raise TableRefused(f"{path}: there is no folder {path.parent}; make it first")


def write_disagreements(path: Path, asked: Asked, table: Table) -> int:
    """Write every row that is answered differently, those first that speak most for A or B; say how many they are.

    Its columns: line (or row), A, B, truth where it is known, and all others of the table as they are written there. A
    file of that name is replaced. Raises TableRefused where it cannot be written.
    """
    names = inputs_of(table, asked.target)
    cells = [table.cells(name) for name in names]
    pairs = asked.pairs
    found = disagreements(pairs).tolist()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    truth = ["truth"] if pairs.truth is not None else []
    writer.writerow(["row" if table.lines is None else "line", "A", "B", *truth, *names])
    for at in found:
        position = int(pairs.positions[at])
        answers = [plain(pairs.a.answers, at), plain(pairs.b.answers, at)]
        answers += [plain(pairs.truth, at)] if pairs.truth is not None else []
        where = position if table.lines is None else table.lines[position]
        writer.writerow([where, *answers, *(column[position] for column in cells)])
    try:
        write_whole(path, text.getvalue().encode())
    except OSError as error:
        raise TableRefused(f"{path}: the rows cannot be written: {not_written(error)}") from error
    return len(found)
