"""The stream: what is offered is sampled, redacted, counted, and arrives; what cannot be written is lost alone."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from model_manager.records.sinks import FileSink, HttpSink, NotDelivered, Sink
from model_manager.signature import Rows

from tests.event_receiver import EventReceiver
from tests.live import wait_until
from tests.unit.records.staging import Gate, lines, offer, stream


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
