"""Structured logs, one line an event, for people (console) or machines (JSON); uvicorn's lines among them.

What an exception or a warning says may quote the row of a client, the body, a path: by default the log tells of it by
type and place, and leaves out the words.
"""

import logging
import sys
import traceback
import warnings
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Literal, TextIO, TypeAlias

from pythonjsonlogger.json import JsonFormatter

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
_MOST_ERRORS: Final = 10  # of one chain of causes, and of one group

_NAMES: Final = ("model_name", "model_version")
_PLAIN, _FAINT = "\x1b[0m", "\x1b[2m"
_COLOURS: Final = {
    logging.DEBUG: "\x1b[2m",
    logging.INFO: "\x1b[32m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}
STEPS: Final = "model_manager.steps"
"""The logger of what happens to a version on its way, and how it is answered: at length, and for people too much."""

_warnings_logger: Final = logging.getLogger("py.warnings")


class _Wordless(logging.Formatter):
    """Writes an exception as what raised, and where, unless its words are asked for."""

    words = False

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802  # logging calls it so
        """Tell of one exception and of what it came from."""
        if self.words or ei[1] is None:
            return super().formatException(ei)
        return places(ei[1])


class ConsoleFormatter(_Wordless):
    """Time, level, message, and those of the event's fields as key=value that the message does not say.

    With `colours` the level is coloured, and time and fields are faint.
    """

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        said = _said_by(message, record)
        fields = " ".join(
            f"{key}={value!s}" for key, value in vars(record).items() if key not in _STANDARD and key not in said
        )
        time, level = self.formatTime(record), f"{record.levelname:<7}"
        if self._colours:
            time, level = f"{_FAINT}{time}{_PLAIN}", f"{_COLOURS.get(record.levelno, '')}{level}{_PLAIN}"
            fields = f"{_FAINT}{fields}{_PLAIN}" if fields else ""
        return f"{time} {level} {message}  {fields}" if fields else f"{time} {level} {message}"


def _said_by(message: str, record: logging.LogRecord) -> frozenset[str]:
    """The fields that a message has in it: which version it is about, and in which state that is."""
    said = vars(record)
    if f"{said.get('model_name')}/{said.get('model_version')}" not in message:
        return frozenset()
    return frozenset({"model_name", "model_version", "state"} if f" is {said.get('state')}" in message else _NAMES)


class _WordlessJson(_Wordless, JsonFormatter):
    """The same, for machines."""


def places(error: BaseException) -> str:
    """Tell of an exception, and of what it came from, by types and places in the code, never by what they say.

    A place is a module, a line and a function: the paths of a machine are left out too. The innermost comes last, as in
    a traceback.
    """
    lines: list[str] = []
    cause: BaseException | None = error
    for _ in range(_MOST_ERRORS):
        if cause is None:
            break
        lines.insert(0, _places_of(cause))
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "\nwhich led to\n".join(lines)


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name[:200] if type(name) is str else "?"


def _places_of(error: BaseException) -> str:
    frames = (
        f"  {_module(frame)}:{line} in {frame.f_code.co_name}" for frame, line in traceback.walk_tb(error.__traceback__)
    )
    within = error.exceptions[:_MOST_ERRORS] if isinstance(error, BaseExceptionGroup) else ()
    return "\n".join([*frames, type(error).__qualname__[:200], *(f"of which {places(one)}" for one in within)])


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Tell of a warning by its kind and its place; in model code it may quote rows."""
    extra = {"at": f"{Path(filename).name}:{lineno}"}
    _warnings_logger.warning("%s (its text is not logged: --log-model-errors full)", category.__name__, extra=extra)


def configure_logging(
    *,
    format: Literal["console", "json"],
    level: str,
    model_errors: Literal["redacted", "full"] = "redacted",
    colours: bool = False,
) -> None:
    """Send every logger of the process to standard error in one format; replaces what was configured before.

    `model_errors`: whether the log holds what exceptions and warnings say, or only what they are and where they arose.
    `colours`: for people, where standard error is a terminal. They are told what became of a version; each of its steps
    is for machines, and for whoever asks for `debug`.
    """
    formatter: _Wordless
    if format == "json":
        formatter = _WordlessJson(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            reserved_attrs=sorted(_STANDARD),
        )
        formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03d"
    else:
        formatter = ConsoleFormatter(colours=colours and sys.stderr.isatty())
    formatter.words = model_errors == "full"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    if not formatter.words:
        warnings.showwarning = _log_warning
    for name in ("uvicorn", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    steps_told = format == "json" or root.level <= logging.DEBUG
    logging.getLogger(STEPS).setLevel(logging.NOTSET if steps_told else logging.WARNING)
    # what these say at INFO, process and manager say better: once for two servers, once for a change that matters
    for name in ("uvicorn.error", "watchfiles"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
