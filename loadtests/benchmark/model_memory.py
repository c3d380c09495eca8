"""What a model weighs: the resident memory of servers of 1, 100 and 1,000 copies of a small model."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.memory import resident_mb
from tools.servers import model_manager

COUNTS: Final = (1, 100, 1000)
_QUICK: Final = ("--compile", "off", "--load-isolation", "none")


def resident_by_count(artifact: Path, folder: Path, counts: Sequence[int] = COUNTS) -> dict[int, float]:
    """Serve so many models, each with the bytes of `artifact`, and read what the server's process holds, in MB.

    Without compiling, and without a trial of each in a child process, which leave nothing here and take minutes for a
    thousand. Raises ProcessFailed.
    """
    held = {}
    for count in counts:
        models = folder / str(count)
        for number in range(count):
            version = models / f"m{number}" / "1"
            version.mkdir(parents=True)
            os.link(artifact, version / "model.joblib")
        with model_manager(f"{count} models", models, flags=_QUICK) as server:
            held[count] = round(resident_mb(server.popen.pid), 1)
    return held


def mb_a_model(held: Mapping[int, float]) -> float | None:
    """What one more model takes, between the fewest and the most that were served; None where nothing was measured."""
    if len(held) < 2:
        return None
    fewest, most = min(held), max(held)
    return (held[most] - held[fewest]) / (most - fewest)
