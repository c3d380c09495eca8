"""The path of a file, or standard input → the source that reads it, chosen by its first bytes.

Place in the flow: before sources and columnar. The second of the two is imported where it is needed.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from model_manager.errors import TableRefused
from model_manager.scoring.sources import CsvSource, JsonLinesSource, Source

_COLUMNAR: Final = ((b"PAR1", "parquet"), (b"ARROW1", "arrow file"), (b"\xff\xff\xff\xff", "arrow stream"))
_BOM: Final = b"\xef\xbb\xbf"
_LOOKED_AT: Final = 4096


@contextmanager
def open_source(path: Path | None) -> Iterator[Source]:
    """Open the rows of a file, or of standard input where none is named.

    Raises TableRefused with why it cannot be read.
    """
    if path is None:
        yield _source(io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)), "standard input", seekable=False)
        return
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise TableRefused(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TableRefused(f"{path}: it is a folder; name a file of rows") from None
    except OSError as error:
        raise TableRefused(f"{path}: it cannot be read: {error.strerror}") from error
    with file:
        yield _source(file, str(path), seekable=True)


def _source(file: io.BufferedReader, name: str, *, seekable: bool) -> Source:
    begin = file.peek(_LOOKED_AT)
    kind = next((kind for magic, kind in _COLUMNAR if begin.startswith(magic)), None)
    if kind is not None:
        return _columnar(file if seekable or kind == "arrow stream" else io.BytesIO(file.read()), kind, name)
    if begin.removeprefix(_BOM).lstrip()[:1] in (b"{", b"["):
        return JsonLinesSource(file, name)
    return CsvSource(file.read(), name)


def _columnar(file: BinaryIO, kind: str, name: str) -> Source:
    try:
        from model_manager.scoring.columnar import ColumnarSource
    except ImportError:
        told = f"it is {kind}, and pyarrow, which reads that, is not installed"
        raise TableRefused(f"{name}: {told}: pip install 'model-manager[parquet]'") from None
    return ColumnarSource(file, kind, name)
