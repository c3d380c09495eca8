"""One prediction as a CloudEvent: arrays → JSON text, less what is redacted by name. Runs on the stream's own thread.

In the flow: stream (queue) → **event_format** → sinks.
"""

import csv
import logging
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from urllib.parse import quote

import msgspec
import numpy as np

from model_manager.errors import StartRefused
from model_manager.signature import Array, Layout, Rows, Signature

logger = logging.getLogger(__name__)

EVENT_TYPE = "model-manager.prediction.v1"
_CELLS_AT_ONCE = 4096  # what is encoded before other threads get the interpreter: some 0.3 ms


class Record(msgspec.Struct, frozen=True, eq=False):  # made for every recorded request
    """One answered request as it waits to be written. `ended_at` is Unix time; `size` is its estimated bytes.

    `shadow`: it is a copy, whose answer nobody got.
    """

    request_id: str | None
    model: str
    version: str
    signature: Signature
    rows: Rows
    outputs: Mapping[str, Array] | None
    status: int
    duration_s: float
    trace_id: str | None
    ended_at: float
    size: int
    shadow: bool = False


class Notice(msgspec.Struct, frozen=True, eq=False):
    """What is told beside predictions: the type of the event, its subject, when it was, and its data (for JSON)."""

    type: str
    subject: str
    at: datetime
    data: object


class _Data(msgspec.Struct):
    request_id: str | None
    model: str
    version: str
    status: int
    duration_ms: float
    trace_id: str | None
    inputs: dict[str, msgspec.Raw]
    outputs: dict[str, msgspec.Raw] | None
    redacted: list[str]
    shadow: bool | msgspec.UnsetType = msgspec.UNSET


class _Event(msgspec.Struct, kw_only=True):
    """The attributes of CloudEvents 1.0, in its JSON format."""

    specversion: str = "1.0"
    type: str = EVENT_TYPE
    source: str
    id: str
    time: str
    subject: str
    datacontenttype: str = "application/json"
    data: object


def parse_redacted(text: str) -> frozenset[str]:
    """Read names separated by commas; one that holds a comma is quoted as in CSV. Raises StartRefused."""
    if not text.strip():
        return frozenset()
    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as error:
        raise StartRefused(f"--records-redact {text!r}: not names separated by commas: {error}") from None
    names = [name.strip() for name in row]
    if "" in names:
        raise StartRefused(f"--records-redact {text!r}: there is an empty name; write names separated by single commas")
    return frozenset(names)


class EventFormat:
    """Writes records as events of one producer: this stream. Used by one thread."""

    def __init__(self, redact: frozenset[str]) -> None:
        self.redact = redact
        self._source = f"/model-manager/{quote(socket.gethostname())}"
        self._stream = uuid.uuid4().hex  # clients choose request ids, so those may repeat; an event's id must not
        self._numbers = count(1)
        self._found: frozenset[str] = frozenset()
        self._told: set[tuple[str, frozenset[str]]] = set()

    def encode(self, record: Record) -> bytes:
        """Encode a record as one line of JSON, without its line end.

        Values are as in the server's answers: strings, numbers, null for NaN and infinities, rows first. A redacted
        name has no value at all, since null already means that one was missing; it is listed under `redacted` instead.
        Raises TypeError, NotImplementedError or UnicodeEncodeError for a value that JSON cannot carry.
        """
        names = _column_names(record)
        tensor = None if record.signature.layout is Layout.FRAME else record.signature.tensor
        if self.redact:
            self._tell(record, (tensor or "", *names, *(output.name for output in record.signature.offered)))
        redacted: list[str] = []
        inputs: dict[str, msgspec.Raw] = {}
        if tensor in self.redact:
            redacted.append(tensor)
        else:
            redacted += [name for name in names if name in self.redact]
            kept = ((index, name) for index, name in enumerate(names) if name not in self.redact)
            inputs = {name: _encode_values(_column(record.rows, index)) for index, name in kept}
        outputs: dict[str, msgspec.Raw] | None = None
        if record.outputs is not None:
            redacted += [name for name in record.outputs if name in self.redact and name not in redacted]
            outputs = {name: _encode_values(v) for name, v in record.outputs.items() if name not in self.redact}
        data = _Data(
            record.request_id,
            record.model,
            record.version,
            record.status,
            round(record.duration_s * 1000, 3),
            record.trace_id,
            inputs,
            outputs,
            redacted,
            record.shadow or msgspec.UNSET,
        )
        ended_at = datetime.fromtimestamp(record.ended_at, UTC).isoformat(timespec="microseconds")
        return _encode(
            _Event(
                source=self._source,
                id=f"{self._stream}-{next(self._numbers)}",
                time=ended_at.replace("+00:00", "Z"),
                subject=f"{record.model}/{record.version}",
                data=data,
            )
        )

    def encode_notice(self, notice: Notice) -> bytes:
        """Encode a notice as one line of JSON, without its line end."""
        return _encode(
            _Event(
                type=notice.type,
                source=self._source,
                id=f"{self._stream}-{next(self._numbers)}",
                time=notice.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                subject=notice.subject,
                data=notice.data,
            )
        )

    def _tell(self, record: Record, names: Iterable[str]) -> None:
        """Log what is redacted of a model, once, and which names fit nothing yet: those may be misspelt.

        Said again only when a version of the model has other names, so that a renamed column does not slip through
        unseen.
        """
        found = self.redact.intersection(names)
        if (record.model, found) in self._told:
            return
        self._told.add((record.model, found))
        self._found |= found
        extra = {"model": record.model, "version": record.version, "redacted": ", ".join(sorted(found)) or "nothing"}
        unknown = ", ".join(sorted(self.redact - self._found))
        if unknown:
            message = "prediction records: --records-redact names what no model recorded so far has: %s"
            logger.warning(message, unknown, extra=extra)
        else:
            logger.info("prediction records leave out what is redacted", extra=extra)


def _column_names(record: Record) -> tuple[str, ...]:
    columns = record.signature.columns
    if columns is None:
        return tuple(map(str, range(record.rows.blocks[0].shape[1])))
    return tuple(column.name for column in columns)


def _column(rows: Rows, index: int) -> Array:
    block = rows.blocks[0]
    if len(rows.blocks) == 1 and block.ndim == 2:
        column: Array = block[:, index]
        return column
    return rows.blocks[index]


def _plain(value: object) -> object:
    """Unwrap the numpy scalars that object arrays may hold."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"a {type(value).__name__}, which JSON cannot carry")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def _encode_values(array: Array) -> msgspec.Raw:
    """Encode an array as nested lists, in pieces: other threads wait for the interpreter meanwhile."""
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]")  # of finer ones numpy makes plain numbers
    step = max(1, _CELLS_AT_ONCE * len(array) // max(1, array.size))
    if len(array) <= step:
        return msgspec.Raw(_encode(array.tolist()))
    pieces = []
    for start in range(0, len(array), step):
        pieces.append(_encode(array[start : start + step].tolist())[1:-1])
        time.sleep(0)
    return msgspec.Raw(b"[" + b",".join(pieces) + b"]")
