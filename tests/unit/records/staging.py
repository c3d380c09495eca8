"""A stream that tests offer records to, and a sink that they hold shut."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from model_manager.records.event_format import EventFormat
from model_manager.records.sinks import Sink
from model_manager.records.stream import RecordStream
from model_manager.signature import Column, Layout, Output, Rows, Signature

SIGNATURE = Signature(
    Layout.FRAME,
    (Column("age", "FP64"), Column("region", "BYTES")),
    True,
    (Output("predict", "BYTES", (-1,)),),
)
ROW = Rows((np.array([23.0]), np.array(["north"], dtype=object)))
ANSWER = {"predict": np.array(["yes"], dtype=object)}


@contextmanager
def stream(sink: Sink, redact: frozenset[str] = frozenset(), **settings: Any) -> Iterator[RecordStream]:
    """A stream that was started, and is closed with time enough."""
    made = RecordStream(sink, EventFormat(redact), **{"gather_s": 0.0, "pause_s": 0.01} | settings)
    made.start()
    try:
        yield made
    finally:
        made.close(20)


def offer(stream: RecordStream, rows: Rows = ROW, **other: Any) -> None:
    said: dict[str, Any] = {"request_id": "r", "outputs": ANSWER, "status": 200, "duration_s": 0.001, "trace_id": None}
    stream.offer(model="churn", version="1", signature=SIGNATURE, rows=rows, **said | other)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Gate:
    """A sink that lets a batch through only while it is open."""

    destination = "gate"

    def __init__(self, *, open: bool = False) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.batches: list[list[bytes]] = []
        if open:
            self.open.set()

    def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
        self.entered.set()
        self.open.wait()
        self.batches.append(list(events))

    def close(self) -> None:
        pass
