"""The stream: what is offered is sampled, bounded and counted; no receiver, slow or dead, holds anybody up."""

import json
import logging
import math
import threading
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_manager.errors import StartRefused
from model_manager.records import stream as records
from model_manager.records.event_format import EventFormat
from model_manager.records.sinks import FileSink, HttpSink, NotDelivered, Sink
from model_manager.records.stream import BATCH_BYTES, BATCH_RECORDS, RecordStream
from model_manager.settings import Settings
from model_manager.signature import Column, Layout, Output, Rows, Signature
from pydantic import ValidationError

from tests.event_receiver import EventReceiver, event_receiver
from tests.live import wait_until

SIGNATURE = Signature(
    Layout.FRAME,
    (Column("age", "FP64"), Column("region", "BYTES")),
    True,
    (Output("predict", "BYTES", (-1,)),),
)
ROW = Rows((np.array([23.0]), np.array(["north"], dtype=object)))
ANSWER = {"predict": np.array(["yes"], dtype=object)}


@pytest.fixture
def receiver() -> Iterator[EventReceiver]:
    with event_receiver() as receiver:
        yield receiver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


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


def test_every_record_arrives_in_order_and_is_counted(path: Path) -> None:
    with stream(FileSink(str(path))) as recording:
        for number in range(250):
            offer(recording, request_id=str(number))
    assert [line["data"]["request_id"] for line in lines(path)] == [str(number) for number in range(250)]
    assert (recording.sent, recording.sampled_out, recording.dropped) == (250, 0, 0)


def test_records_reach_an_http_receiver(receiver: EventReceiver) -> None:
    with stream(HttpSink(receiver.url)) as recording:
        offer(recording, request_id="a", trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
        wait_until(receiver.events, "the record")
        offer(recording, request_id="b", outputs=None, status=504)
    first, second = receiver.events()
    assert first["data"]["inputs"] == {"age": [23.0], "region": ["north"]}
    assert first["data"]["outputs"] == {"predict": ["yes"]}
    assert first["data"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (second["data"]["outputs"], second["data"]["status"]) == (None, 504)
    assert recording.sent == 2


@pytest.mark.parametrize("kind", ["file", "http"])
def test_a_redacted_value_is_in_none_of_the_bytes_that_leave(kind: str, path: Path, receiver: EventReceiver) -> None:
    sink: Sink = FileSink(str(path)) if kind == "file" else HttpSink(receiver.url)
    with stream(sink, frozenset({"region", "predict"})) as recording:
        offer(
            recording,
            Rows((np.array([23.0]), np.array(["sesame"], dtype=object))),
            outputs={"predict": np.array(["secret"], dtype=object)},
        )
    left = path.read_bytes() if kind == "file" else b"".join(receiver.bodies)
    assert b'"age":[23.0]' in left
    assert b'"redacted":["region","predict"]' in left
    assert b"sesame" not in left
    assert b"secret" not in left


def test_a_share_is_sampled_out_and_counted(path: Path) -> None:
    with stream(FileSink(str(path)), sample=0.25) as recording:
        for _ in range(2000):
            offer(recording)
    assert recording.sent + recording.sampled_out == 2000
    assert len(lines(path)) == recording.sent
    assert recording.sent == pytest.approx(500, abs=6 * math.sqrt(2000 * 0.25 * 0.75))


@pytest.mark.parametrize(("sample", "counts"), [(0.0, (0, 50, 0)), (1.0, (50, 0, 0))])
def test_all_or_nothing_can_be_sampled(path: Path, sample: float, counts: tuple[int, int, int]) -> None:
    with stream(FileSink(str(path)), sample=sample) as recording:
        for _ in range(50):
            offer(recording)
    assert (recording.sent, recording.sampled_out, recording.dropped) == counts


def test_records_that_gather_leave_together_up_to_a_limit() -> None:
    gate = Gate()
    with stream(gate) as recording:
        offer(recording)
        gate.entered.wait()
        for _ in range(BATCH_RECORDS + 5):
            offer(recording)
        gate.open.set()
    assert [len(batch) for batch in gate.batches] == [1, BATCH_RECORDS, 5]


def test_a_batch_stays_within_its_bytes_and_a_larger_record_goes_alone() -> None:
    gate = Gate()
    half, whole = (np.array(["x" * size], dtype=object) for size in (BATCH_BYTES // 2 - 1000, BATCH_BYTES * 2))
    with stream(gate) as recording:
        offer(recording)
        gate.entered.wait()
        for texts in (half, half, half, whole, half):
            offer(recording, Rows((np.array([1.0]), texts)))
        gate.open.set()
    assert [len(batch) for batch in gate.batches] == [1, 2, 1, 1, 1]


def test_a_receiver_that_does_not_answer_costs_bounded_memory_and_never_blocks_an_offer(
    receiver: EventReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.gate.clear()
    limit = 1024 * 1024
    large = Rows((np.ones(1), np.array(["x" * 100_000], dtype=object)))
    with stream(HttpSink(receiver.url), most_bytes=limit, timeout_s=30) as recording:
        offer(recording)
        wait_until(lambda: receiver.waiting, "the receiver to hold the first record")
        tracemalloc.start()
        try:
            for number in range(300):  # 300 × 100 KB: these return while the gate is shut, or the test never ends
                offer(recording, Rows((np.ones(1), np.array([f"{number:x}" * 50_000], dtype=object))))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 1.5 * limit
        assert receiver.waiting
        assert recording.sent == 0
        assert 280 < recording.dropped < 300
        receiver.gate.set()
        wait_until(lambda: recording.sent + recording.dropped == 301, "what was kept to arrive")
        assert len(receiver.events()) == recording.sent
        (line,) = [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING]
        assert f"dropped: {recording.dropped} found the queue full; sample fewer with --records-sample" in line
        sent, dropped = recording.sent, recording.dropped
        for number in range(30):  # more than the queue holds: room is made again
            offer(recording, large)
            wait_until(lambda number=number: recording.sent == sent + number + 1, "the stream to go on")  # type: ignore[misc]
        assert recording.dropped == dropped


def test_the_queue_is_bounded_by_records_too() -> None:
    gate = Gate()
    with stream(gate, most_records=10) as recording:
        offer(recording)
        gate.entered.wait()
        for _ in range(100):
            offer(recording)
        assert recording.dropped == 91
        gate.open.set()
        wait_until(lambda: recording.sent == 10, "what was kept to arrive")
        offer(recording)
    assert recording.sent == 11


def test_a_record_of_a_slice_keeps_nothing_of_the_batch_it_was_cut_from() -> None:
    gate, values = Gate(), 100_000
    with stream(gate) as recording:
        offer(recording)
        gate.entered.wait()
        tracemalloc.start()
        try:
            for _ in range(100):
                batch = np.zeros(values)
                offer(recording, Rows((batch[:1], ROW.blocks[1])), outputs={"predict": batch[1:2]})
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gate.open.set()
    assert held < 2 * values * 8  # of 100 times that


def test_a_receiver_that_is_down_costs_one_line_an_outage_and_is_found_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with event_receiver() as receiver:
        port, sink = receiver.port, HttpSink(receiver.url)
        with stream(sink) as recording:
            offer(recording)
            wait_until(lambda: recording.sent == 1, "the first record")
            receiver.close()
            for lost in range(1, 4):
                offer(recording)
                wait_until(lambda lost=lost: recording.dropped == lost, "a record to be lost")  # type: ignore[misc]
            with event_receiver(port) as again:

                def arrives() -> bool:
                    offer(recording)
                    return bool(again.events())

                wait_until(arrives, "the stream to recover")
                again_lost = recording.dropped  # before what is still on its way finds nobody
    said = [line.getMessage() for line in caplog.records if "drop" in line.getMessage()]
    assert said[0].startswith(f"prediction records are dropped: http://127.0.0.1:{port}/events: ")
    assert said[1] == f"prediction records arrive again; {again_lost - 1} more were dropped meanwhile"


def test_a_full_disk_is_one_line_and_the_stream_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with stream(FileSink("/dev/full")) as recording:
        for lost in range(1, 4):
            offer(recording)
            wait_until(lambda lost=lost: recording.dropped == lost, "a record to be lost")  # type: ignore[misc]
    (line,) = [line.getMessage() for line in caplog.records]
    assert line == "prediction records are dropped: /dev/full: No space left on device"


def test_close_delivers_what_waits(path: Path) -> None:
    with stream(FileSink(str(path)), gather_s=1000) as recording:  # which closing ends
        for _ in range(500):
            offer(recording)
    assert (recording.sent, recording.dropped) == (500, 0)
    offer(recording)
    assert recording.dropped == 1


def test_close_gives_up_in_time_and_counts_what_is_left(
    receiver: EventReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.gate.clear()
    recording = RecordStream(HttpSink(receiver.url), EventFormat(frozenset()), gather_s=0, timeout_s=0.2)
    recording.start()
    for _ in range(150):
        offer(recording)
    recording.close(0.05)
    assert (recording.sent, recording.dropped) == (0, 150)
    assert "150 prediction records were not delivered in time" in caplog.text
    receiver.gate.set()
    recording._thread.join()
    assert (recording.sent, recording.dropped) == (0, 150)


@pytest.mark.parametrize(("letters", "batch"), [(1, BATCH_RECORDS), (BATCH_BYTES // 40, 39)])
def test_close_tries_a_receiver_that_is_down_once(letters: int, batch: int) -> None:
    rows = Rows((np.ones(1), np.array(["x" * letters], dtype=object)))
    with event_receiver() as receiver:
        url = receiver.url
    tried: list[int] = []

    class Counting(HttpSink):
        def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
            tried.append(len(events))
            super().deliver(events, timeout_s)

    recording = RecordStream(Counting(url), EventFormat(frozenset()), pause_s=1000)
    for _ in range(batch + 1):
        offer(recording, rows)
    recording.start()
    recording.close(20)
    assert not recording._thread.is_alive()
    assert (tried, recording.sent, recording.dropped) == ([batch], 0, batch + 1)


def test_a_stream_that_never_started_counts_what_it_was_given(path: Path) -> None:
    recording = RecordStream(FileSink(str(path)), EventFormat(frozenset()))
    offer(recording)
    recording.close(1)
    assert recording.dropped == 1


def test_a_record_that_json_cannot_carry_is_lost_alone_and_said_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with stream(FileSink(str(path))) as recording:
        for value in (object(), "fine", object(), "too"):
            offer(recording, Rows((np.ones(1), np.array([value], dtype=object))))
    assert [line["data"]["inputs"]["region"] for line in lines(path)] == [["fine"], ["too"]]
    assert (recording.sent, recording.dropped) == (2, 2)
    (line,) = [line.getMessage() for line in caplog.records]
    assert line == "a prediction record cannot be written as JSON: NotImplementedError"


def test_our_own_bugs_lose_records_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Gate):
        def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
            if not self.batches:
                self.batches.append([])
                raise ZeroDivisionError("a bug of ours")
            super().deliver(events, timeout_s)

    gate = Broken(open=True)
    with stream(gate) as recording:
        offer(recording, rows=None)  # type: ignore[arg-type]
        assert recording.dropped == 1
        offer(recording)
        wait_until(lambda: recording.dropped == 2, "the record to be lost")
        offer(recording)
        wait_until(lambda: recording.sent == 1, "the stream to go on")
    assert "ZeroDivisionError" in caplog.text


def test_a_failure_in_the_middle_of_a_batch_counts_what_had_arrived() -> None:
    class Partly(Gate):
        def deliver(self, events: Sequence[bytes], timeout_s: float) -> None:
            super().deliver(events, timeout_s)
            if len(events) > 1:
                raise NotDelivered("full", delivered=2)

    gate = Partly()
    with stream(gate) as recording:
        offer(recording)
        gate.entered.wait()
        for _ in range(5):
            offer(recording)
        gate.open.set()
        wait_until(lambda: recording.dropped == 3, "the rest to be lost")
    assert recording.sent == 3


def test_settings_ask_for_a_stream_or_none(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RecordStream.from_settings(Settings(models=tmp_path)) is None
    monkeypatch.setenv("MODEL_MANAGER_RECORDS", str(path))
    monkeypatch.setenv("MODEL_MANAGER_RECORDS_SAMPLE", "0")
    monkeypatch.setenv("MODEL_MANAGER_RECORDS_REDACT", "age, region")
    settings = Settings(models=tmp_path)
    recording = RecordStream.from_settings(settings)
    assert recording is not None
    offer(recording)
    assert recording.sampled_out == 1
    assert recording._format.redact == {"age", "region"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"records": "ftp://host/x"}, "--records 'ftp://host/x': ftp is not supported"),
        ({"records": "/absent/records.jsonl"}, "--records /absent/records.jsonl: cannot be appended to"),
        ({"records": "http://host/", "records_redact": "a,,b"}, "--records-redact 'a,,b': there is an empty name"),
    ],
)
def test_what_cannot_be_used_is_refused_at_start(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StartRefused, match=f"^{said}"):
        RecordStream.from_settings(Settings(models=tmp_path, **settings))


@pytest.mark.parametrize("sample", [-0.1, 1.1, math.nan])
def test_a_share_is_between_nothing_and_all(tmp_path: Path, sample: float) -> None:
    with pytest.raises(ValidationError):
        Settings(models=tmp_path, records_sample=sample)


def test_the_start_says_where_records_go(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, records.__name__)
    with stream(FileSink(str(path)), frozenset({"b", "a"}), sample=0.5):
        pass
    (line,) = caplog.records
    assert (line.__dict__["to"], line.__dict__["sample"], line.__dict__["redacted"]) == (str(path), 0.5, "a, b")
