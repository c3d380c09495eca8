"""What waits in the stream is bounded, in records and in bytes: no receiver that is slow holds anybody up."""

import logging
import tracemalloc

import numpy as np
import pytest
from model_manager.records.sinks import HttpSink
from model_manager.records.stream import BATCH_BYTES, BATCH_RECORDS
from model_manager.signature import Rows

from tests.event_receiver import EventReceiver
from tests.live import wait_until
from tests.unit.records.staging import ROW, Gate, offer, stream


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
