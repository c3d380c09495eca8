"""Outputs of a version → the columns that are added to a file, and what of an answer goes into each.

Place in the flow: the first thing that a run asks; what writes the files is given these columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_manager.errors import InvalidInput
from model_manager.signature import Array, Datatype, Output, Signature
from model_manager.tables.typed_rows import listed

ERROR = "error"


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """One column: the output whose answer it holds, and the position in a row of it; None where that is one value.

    `output` is None for the column of errors.
    """

    name: str
    datatype: Datatype
    output: str | None
    position: int | None = None

    def values(self, answers: Mapping[str, Array], errors: Mapping[int, str], rows: int) -> list[object]:
        """Its values, None where there is none. `answers` hold those rows that have no error, in order."""
        if self.output is None:
            return [errors.get(row) for row in range(rows)]
        array = answers[self.output]
        if not len(array):
            return [None] * rows
        given = (array if self.position is None else array.reshape(len(array), -1)[:, self.position]).tolist()
        values = [str(one) if isinstance(one, bytes) else one for one in given]
        if not errors:
            return values
        rest = iter(values)
        return [None if row in errors else next(rest) for row in range(rows)]


def asked_outputs(signature: Signature, outputs: Sequence[str]) -> tuple[str, ...]:
    """The outputs to ask for: those named, or the one that a server answers with. Raises InvalidInput for unknown."""
    offered = [output.name for output in signature.offered]
    if unknown := [name for name in outputs if name not in offered]:
        raise InvalidInput(f"there is no output {unknown[0]!r}; there are {listed(offered)}")
    return tuple(dict.fromkeys(outputs)) or (signature.default_output,)


def added_columns(
    signature: Signature, outputs: Sequence[str], *, prefix: str, with_errors: bool
) -> tuple[AddedColumn, ...]:
    """Lay outputs out as columns, in order: `predict`, `predict_proba_no`, `predict_proba_yes`.

    Raises InvalidInput for outputs of which nobody knows how many values a row has.
    """
    offered = {output.name: output for output in signature.offered}
    columns = [column for name in outputs for column in _columns(offered[name], prefix)]
    if with_errors:
        columns.append(AddedColumn(f"{prefix}{ERROR}", "BYTES", None))
    return tuple(columns)


def refuse_taken(columns: Sequence[AddedColumn], names: Sequence[str]) -> None:
    """Raise InvalidInput where a file has a column already that would be added."""
    there = {name.strip() for name in names}
    if taken := [column.name for column in columns if column.name in there]:
        raise InvalidInput(
            f"the rows have a column {taken[0]!r} already, which would be added; give --prefix, such as new_"
        )


def _columns(output: Output, prefix: str) -> list[AddedColumn]:
    name, shape = f"{prefix}{output.name}", output.shape[1:]
    if not shape:
        return [AddedColumn(name, output.datatype, output.name)]
    if len(shape) > 1 or shape[0] < 1:
        raise InvalidInput(f"output {output.name!r} has the shape {list(output.shape)}, which is no row of columns")
    said = output.columns or output.classes
    labels = [str(one) if one is not None else str(at) for at, one in enumerate(said)]
    if len(labels) != shape[0] or len({*labels}) != len(labels):
        labels = [str(at) for at in range(shape[0])]
    return [AddedColumn(f"{name}_{label}", output.datatype, output.name, at) for at, label in enumerate(labels)]
