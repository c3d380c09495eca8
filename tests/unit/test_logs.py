"""What the log looks like to a person and to a machine: colours on terminals alone, each thing said once, no steps."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from model_manager.logs import ConsoleFormatter

LOGGING = """
import json, logging, sys
from model_manager.logs import STEPS, configure_logging
from model_manager.settings import wants_colours
configure_logging(format={format!r}, level={level!r}, colours=wants_colours())
of = dict(model_name="iris", model_version="2")
logging.getLogger(STEPS).info("iris/2 is loading: its bytes were there", extra=dict(of, state="loading"))
logging.getLogger("any").info("iris/2 is ready: it answered 3 golden rows", extra=dict(of, state="ready"))
logging.getLogger("any").warning("one row was odd", extra=dict(of, row=4))
"""


def logged(*, terminal: bool = False, format: str = "console", level: str = "info", **variables: str) -> list[str]:
    """The lines of a process that logs three events, to a terminal or to a pipe."""
    reading, writing = pty.openpty() if terminal else os.pipe()
    kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    try:
        code = LOGGING.format(format=format, level=level)
        environment = {**kept, "TERM": "xterm", **variables}
        subprocess.run([sys.executable, "-c", code], stderr=writing, env=environment, check=True)
        said = os.read(reading, 1 << 16)
    finally:
        os.close(writing)
        os.close(reading)
    return said.decode().splitlines()


def test_people_are_told_what_became_of_a_version_and_each_thing_once() -> None:
    ready, odd = logged()
    assert ready.endswith(" INFO    iris/2 is ready: it answered 3 golden rows")
    assert odd.endswith(" WARNING one row was odd  model_name=iris model_version=2 row=4")


def test_whoever_asks_for_more_is_told_each_step() -> None:
    assert "iris/2 is loading" in logged(level="debug")[0]


def test_machines_are_told_every_step_with_every_field() -> None:
    loading, ready, _ = map(json.loads, logged(format="json"))
    assert (loading["state"], ready["state"]) == ("loading", "ready")
    assert (ready["model_name"], ready["model_version"]) == ("iris", "2")


@pytest.mark.parametrize(
    ("options", "coloured"),
    [
        ({"terminal": True}, True),
        ({"terminal": True, "NO_COLOR": "1"}, False),
        ({"terminal": True, "NO_COLOR": ""}, True),
        ({"terminal": True, "TERM": "dumb"}, False),
        ({"terminal": True, "format": "json"}, False),
        ({}, False),
    ],
    ids=["a terminal", "NO_COLOR", "NO_COLOR empty", "dumb", "JSON", "a pipe"],
)
def test_levels_are_coloured_on_terminals_that_want_it(options: dict[str, Any], coloured: bool) -> None:
    said = "\n".join(logged(**options))
    assert ("\x1b[32mINFO" in said and "\x1b[33mWARNING" in said) == coloured
    assert ("\x1b" in said) == coloured


def test_a_version_that_the_message_does_not_name_stays_a_field() -> None:
    import logging

    record = logging.makeLogRecord({"msg": "iris/2 answers", "model_name": "iris", "model_version": "1"})
    assert "model_name=iris model_version=1" in ConsoleFormatter().format(record)
