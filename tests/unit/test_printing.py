"""server/model_manager/serving/printing.py: what models print is told in the log, and never floods it."""

import logging
import sys

import pytest
from model_manager.serving import printing
from model_manager.serving.printing import Printed, printed_into_the_log


def printed(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "model_manager.printed"]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_lines_are_logged_whole_with_their_stream(caplog: pytest.LogCaptureFixture) -> None:
    before = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    with printed_into_the_log():
        sys.stdout.write("one")
        sys.stdout.write(" line\n\nanother\n")
        sys.stderr.write("trouble\n")
        sys.stdout.close()
        assert sys.__stdout__ is not None
        sys.__stdout__.write("still here\n")
    assert (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) == before
    assert printed(caplog) == ["one line", "another", "trouble", "still here"]
    assert [vars(record)["stream"] for record in caplog.records] == ["stdout", "stdout", "stderr", "stdout"]


def test_a_flood_is_cut_and_what_was_left_out_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(printing, "monotonic", lambda: now)
    stream = Printed("stdout", sys.stdout)
    for number in range(10_000):
        stream.write(f"{number}\n")
    assert printed(caplog) == [str(number) for number in range(50)]
    now = 1.0
    stream.write("x" * 10_000 + "\n")
    assert printed(caplog)[50:] == ["x" * 500]
    assert vars(caplog.records[-1])["lines_left_out_before"] == 9_950
    stream.write("y" * 100_000)  # no line at all
    assert len(stream._part) == 500


def test_what_logging_prints_does_not_come_back_to_it(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sys.stderr.write("a handler prints\n")

    handler = Broken()
    logging.getLogger().addHandler(handler)
    try:
        with printed_into_the_log():
            sys.stdout.write("said by a model\n")
    finally:
        logging.getLogger().removeHandler(handler)
    assert printed(caplog) == ["said by a model"]
