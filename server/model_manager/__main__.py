"""Where a process starts: ready for SIGTERM before the imports, which take longer than all the rest of a start."""

import gc
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command `model-manager`.

    A SIGTERM that comes before a server has anything to drain ends it with 0: in a container it is process 1, to which
    the kernel delivers only signals that it handles. Any other command that is stopped has not succeeded. Ctrl-C while
    modules are imported, here or by a command, ends in one line. The collector rests: imports leave no garbage.
    """
    signal.signal(signal.SIGINT, _interrupted)
    serves = sys.argv[1:2] == ["serve"]
    if serves:
        signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(0))
    gc.disable()
    from model_manager.cli import cli

    if serves:
        import model_manager.commands.serve
        import model_manager.supervisor  # noqa: F401  what `serve` would import later, when garbage is collected again

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        cli(prog_name="model-manager")
    finally:
        signal.signal(signal.SIGINT, _interrupted)  # while the interpreter ends


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but for one that would end in the middle of an import.

    Libraries that take what an import raises for a module that is not there would go on without it, and Python itself
    would end by the signal, though a command had made an exit code of it.
    """
    within = frame
    while within is not None:
        if within.f_code.co_filename == "<frozen importlib._bootstrap>":
            _interrupted(signum, frame)
        within = within.f_back
    raise KeyboardInterrupt


def _interrupted(signum: int, frame: FrameType | None) -> None:
    cursor_shown = b"\x1b[?25h" if os.isatty(2) else b""  # a spinner may have hidden it
    os.write(2, cursor_shown + b"model-manager: interrupted\n")
    os._exit(128 + signum)


if __name__ == "__main__":
    main()
