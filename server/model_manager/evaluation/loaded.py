"""A package as an object of Python, for notebooks and scripts: `load(path)`, and what it predicts for rows.

Place in the flow: beside evaluating; rows are read as a server reads them, and answers are those of a server.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from model_manager.codecs.rows import rows_from_instances
from model_manager.errors import InvalidInput
from model_manager.evaluation.opening import Package, open_package
from model_manager.repository.metadata import Metadata
from model_manager.signature import Array, Rows, Signature
from model_manager.tables.table_files import table_of
from model_manager.tables.typed_rows import listed, typed_rows

RowsGiven: TypeAlias = pd.DataFrame | Array | Sequence[Any]
"""A DataFrame, an array, or rows as a server takes them: lists, objects keyed by column, or strings."""


class LoadedModel:
    """One version, ready to predict. `model` and `version` name it; `sha256` is the digest of its artifact."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.model, self.version, self.sha256 = package.name, package.version, package.sha256

    @property
    def signature(self) -> Signature:
        """What the version takes and gives."""
        return self.package.signature

    @property
    def metadata(self) -> Metadata:
        """What its metadata.json says."""
        return self.package.metadata

    def predict(self, rows: RowsGiven, outputs: str | Sequence[str] | None = None) -> Array | dict[str, Array]:
        """Answer rows, an entry each: an array for one output, a dict of arrays for several.

        Without `outputs`, the one that a server would answer with. Columns of a DataFrame that the version does not
        take are let be. Raises InvalidInput and TableRefused for rows that do not fit, PredictionFailed for one that
        the model does not answer.
        """
        asked = (outputs or self.signature.default_output,) if isinstance(outputs, str | None) else tuple(outputs)
        offered = [output.name for output in self.signature.offered]
        if unknown := [name for name in asked if name not in offered]:
            raise InvalidInput(f"{self.package} has no output {unknown[0]!r}; there are {listed(offered)}")
        answers = self.package.predict(self._rows(rows), asked)
        return answers[asked[0]] if isinstance(outputs, str | None) else answers

    def __repr__(self) -> str:
        takes = "text" if self.signature.columns is None else f"{len(self.signature.columns)} columns"
        return f"<{self.package}: takes {takes}, gives {', '.join(one.name for one in self.signature.outputs)}>"

    def _rows(self, given: RowsGiven) -> Rows:
        if isinstance(given, pd.DataFrame):
            return typed_rows(table_of(given, source="the DataFrame"), self.signature)
        plain = given.tolist() if isinstance(given, np.ndarray) else list(given)
        return rows_from_instances(plain, self.signature, source="rows")


def load(path: Path | str, *, skops_trusted: Sequence[str] = ()) -> LoadedModel:
    """Load the package in a folder, such as "build/models/iris/2", checked as a server checks it.

    A pickle is code: load only packages of people who may run code here. `skops_trusted` names types that a skops
    artifact may hold beside those that skops trusts. Raises PackageRefused where there is no package, and LoadFailed
    with what keeps it from being served.
    """
    return LoadedModel(open_package(Path(path), skops_trusted=skops_trusted))
