"""The picture of docs/canary.md: what controllers made of good and of bad versions.

usage: python -m tests.cluster.picture ROLLOUTS.json PICTURE.png, of what `make rollouts` measured.
"""

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.cluster.controllers import TITLES

_WEIGHT, _NEW, _FAILED, _QUIET = "#24292f", "#1f6feb", "#d1242f", "#57606a"
_CHANGES: Final = ("a good version", "one that fails", "one that is slow")
_PERCENT: Final = ((-4, 104), (-0.25, 6.25), (-0.25, 6.25))
"""What a picture shows of each: bad versions get the first step's share, which would be a line at the bottom."""


def draw(walks: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the weight of the new pods and the share of the requests that they had, a row for a controller."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    named = [name for name in TITLES if any(walk["controller"] == name for walk in walks)]
    figure = Figure(figsize=(12, 3.2 * len(named)), layout="constrained")
    rows = figure.subplots(len(named), len(_CHANGES), sharey="col", squeeze=False)
    for walk in walks:
        axes = rows[named.index(walk["controller"])][_CHANGES.index(walk["change"])]
        _draw(axes, walk)
    for row in rows:
        for axes, (bottom, top) in zip(row, _PERCENT, strict=True):
            axes.set_ylim(bottom, top)
            axes.set_ylabel("percent", fontsize="small")
    rows[0][0].legend(loc="upper left", fontsize="small", frameon=False)
    figure.savefig(path, dpi=110)


def _draw(axes: Any, walk: dict[str, Any]) -> None:
    moments = walk["moments"]
    axes.step([each["at_s"] for each in moments], [each["weight"] for each in moments], where="post", color=_WEIGHT)
    pairs = [(a, b) for a, b in pairwise(moments) if b["requests"] > a["requests"]]
    for key, color, size in (("new", _NEW, 6), ("failed", _FAILED, 3)):
        shares = [100 * (b[key] - a[key]) / (b["requests"] - a["requests"]) for a, b in pairs]
        axes.plot([b["at_s"] for _, b in pairs], shares, ".", color=color, markersize=size)
    axes.plot([], [], color=_WEIGHT, label="weight of the new pods")
    axes.plot([], [], ".", color=_NEW, label="answered by the new version")
    axes.plot([], [], ".", color=_FAILED, label="failed")
    last = moments[-1]
    met = f"{last['failed']} of {last['requests']:,} requests failed"
    axes.set_title(f"{TITLES[walk['controller']]}: {walk['change']}\n{walk['verdict']}; {met}", fontsize="small")
    axes.set_xlabel("seconds after the upgrade", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_QUIET, labelsize="small")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
