"""Structured logs, one line an event, for people (console) or machines (JSON); uvicorn's lines among them."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class ConsoleFormatter(logging.Formatter):
    """Time, level, message, and the event's fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        fields = " ".join(f"{key}={value!s}" for key, value in vars(record).items() if key not in _STANDARD)
        return f"{line}  {fields}" if fields else line


def configure_logging(*, format: Literal["console", "json"], level: str) -> None:
    """Send every logger of the process to standard error in one format; replaces what was configured before."""
    formatter: logging.Formatter
    if format == "json":
        formatter = JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            reserved_attrs=sorted(_STANDARD),
        )
        formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03d"
    else:
        formatter = ConsoleFormatter("{asctime} {levelname:<7} {message}", style="{")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # what these say at INFO, process and manager say better: once for two servers, once for a change that matters
    for name in ("uvicorn.error", "watchfiles"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
