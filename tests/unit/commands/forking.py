"""Runs commands in processes forked from this one, which has imported what they need: real processes, without the wait.

    python -m tests.unit.commands.forking

Reads a request a line, answers each by a line; `tests.unit.commands.forked` asks. Only the main thread runs here, and
no model has computed, so that what is forked is what a fresh interpreter would be after its imports.
"""

import ctypes
import gc
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import click

_CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "fcntl.flock")
"""The events of Python that are operations on files."""

_IMPORTED = (
    "matplotlib.backends.backend_svg",
    "model_manager.evaluation.comparison_report",
    "model_manager.evaluation.comparison_rows",
    "model_manager.evaluation.report",
    "model_manager.manifests.changing",
    "model_manager.packaging.packing",
    "model_manager.packaging.uploading",
    "model_manager.training.from_table",
    "rich.progress",
    "rich.status",
    "rich.table",
    "sklearn.ensemble",
    "sklearn.linear_model",
)
"""What takes long to import, and commands import when they run."""
NO_MOUNT = 77
"""The exit code where this machine lets nobody mount a disk."""
FILLER = "filler"
_CLONE_NEWNS = 0x20000
_MS_PRIVATE = 1 << 18 | 1 << 14
_PAGE = 4096


def serve() -> int:
    """Answer requests until there are no more. A child gives the exit code of its command; the parent 0."""
    for module in _IMPORTED:
        import_module(module)
    from model_manager.cli import COMMANDS, cli

    for name in COMMANDS:
        cli.get_command(click.Context(cli), name)
    gc.freeze()  # what is there now stays, and no child copies it to look for garbage
    for line in sys.stdin:
        asked = json.loads(line)
        told, tell = os.pipe()
        streams = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  the child's standard output and error
        child = os.fork()
        if child == 0:
            os.close(told)
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream.fileno(), number)
            return _run(asked, tell)
        os.close(tell)
        with open(told, "rb") as pipe:
            moments = [json.loads(line) for line in pipe]
        _, status = os.waitpid(child, 0)
        done: dict[str, Any] = {"status": os.waitstatus_to_exitcode(status), "moments": moments}
        for name, stream in zip(("stdout", "stderr"), streams, strict=True):
            stream.seek(0)
            done[name] = stream.read().decode()
            stream.close()
        print(json.dumps(done), flush=True)  # noqa: T201
    return 0


def _run(asked: dict[str, Any], tell: int) -> int:
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    if asked["output"]:
        os.dup2(os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    if asked["input"] is not None:
        with tempfile.TemporaryFile() as given:
            given.write(asked["input"].encode())
            given.seek(0)
            os.dup2(given.fileno(), 0)
    if asked["full"] is not None:
        _fill(asked["full"])
    if asked["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["limit"], resource.RLIM_INFINITY))
    if asked["stop"] or asked["under"]:
        _watch(asked["under"], asked["stop"], asked["at"], tell)
    sys.argv = ["model-manager", *asked["arguments"]]
    from model_manager.__main__ import main

    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )  # for what measures it
        if asked["full"] is not None:
            _tell(tell, asked["full"])
    return 0


def _fill(folder: str) -> None:
    """Put a small disk in the place of a folder, for this process alone: with what was there, and no byte more."""
    there = {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}
    size = sum(len(content) // _PAGE + 1 for content in there.values()) * _PAGE
    libc, place = ctypes.CDLL(None, use_errno=True), folder.encode()
    if (
        libc.unshare(_CLONE_NEWNS)
        or libc.mount(None, b"/", None, _MS_PRIVATE, None)
        or libc.mount(b"none", place, b"tmpfs", 0, f"size={size}".encode())
    ):
        os._exit(NO_MOUNT)
    for path, content in there.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with suppress(OSError), open(Path(folder, FILLER), "wb", buffering=0) as file:
        while file.write(bytes(_PAGE)):
            pass


def _tell(tell: int, folder: str) -> None:
    """Tell the digest of every file in a folder that is not hidden, but for what fills it."""
    found = {}
    for path in Path(folder).rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and name.name != FILLER and not any(part.startswith(".") for part in name.parts):
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
    os.write(tell, json.dumps(found).encode() + b"\n")


def _watch(under: str | None, signum: int, at: int, tell: int) -> None:
    """Tell what is to be seen in a folder whenever an operation on its files begins: what kill -9 would leave there.

    At the operation number `at` this process gets a signal; where no folder is named, at the event of that number.
    """
    seen, looking = 0, False

    def note(event: str, arguments: Sequence[Any]) -> None:
        nonlocal seen, looking
        if looking or not (
            under is None
            or (event in _CHANGES and (event == "fcntl.flock" or os.path.abspath(str(arguments[0])).startswith(under)))
        ):
            return
        seen += 1
        if under is not None:
            looking = True
            _tell(tell, under)
            looking = False
        if seen == at:
            os.kill(os.getpid(), signum)

    sys.addaudithook(note)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(serve())
