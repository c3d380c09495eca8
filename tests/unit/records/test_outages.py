"""A receiver that is down and a disk that is full: said once, counted, recovered from, and no obstacle to closing."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from model_manager.records.event_format import EventFormat
from model_manager.records.sinks import FileSink, HttpSink
from model_manager.records.stream import BATCH_BYTES, BATCH_RECORDS, RecordStream
from model_manager.signature import Rows

from tests.event_receiver import EventReceiver, event_receiver
from tests.live import wait_until
from tests.unit.records.staging import offer, stream


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
