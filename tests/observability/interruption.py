"""Ctrl-C, as `make observe` takes it: it ends the watching in order, and tells nobody else."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Ctrl-C, once: it ends the waiting, and from then on everything is stopped in order, however often it comes."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGINT, self._interrupt)

    def ignore_more(self) -> None:
        """Let nothing interrupt the end."""
        signal.signal(signal.SIGINT, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.came = True

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self.came = True
        self.ignore_more()
        raise KeyboardInterrupt


@contextmanager
def alone_at_the_terminal() -> Iterator[None]:
    """Let Ctrl-C at the terminal reach this process and what it starts, and not make, which would end by it as failed.

    Does nothing where there is no terminal, or where it belongs to others. Ctrl-Z is not taken meanwhile: make, which
    is not told of it, would leave the terminal to a process that stands still.
    """
    terminal, before = 0, os.getpgrp()
    try:
        ours = os.tcgetpgrp(terminal) == before
    except OSError:  # no terminal
        ours = False
    if not ours or before == os.getpid():  # a shell with job control did so already
        yield
        return
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # which would stop whoever asks for the terminal from outside
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)
