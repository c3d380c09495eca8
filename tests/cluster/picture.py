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


def draw(walks: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the weight of the new pods and the share of the requests that they had, a row for a controller."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    named = [name for name in TITLES if any(walk["controller"] == name for walk in walks)]
    figure = Figure(figsize=(12, 3.2 * len(named)), layout="constrained")
    rows = figure.subplots(len(named), len(_CHANGES), sharey=True, squeeze=False)
    for walk in walks:
        axes = rows[named.index(walk["controller"])][_CHANGES.index(walk["change"])]
        _draw(axes, walk)
    for row in rows:
        row[0].set_ylabel("percent")
    rows[0][0].legend(loc="upper left", fontsize="small", frameon=False)
    figure.savefig(path, dpi=110)


def _draw(axes: Any, walk: dict[str, Any]) -> None:
    moments = walk["moments"]
    axes.step([each["at_s"] for each in moments], [each["weight"] for each in moments], where="post", color=_WEIGHT)
    pairs = [(a, b) for a, b in pairwise(moments) if b["requests"] > a["requests"]]
    for key, color in (("new", _NEW), ("failed", _FAILED)):
        shares = [100 * (b[key] - a[key]) / (b["requests"] - a["requests"]) for a, b in pairs]
        axes.plot([b["at_s"] for _, b in pairs], shares, ".", color=color, markersize=3)
    axes.plot([], [], color=_WEIGHT, label="weight of the new pods")
    axes.plot([], [], ".", color=_NEW, label="answered by the new version")
    axes.plot([], [], ".", color=_FAILED, label="failed")
    last = moments[-1]
    met = f"{last['failed']} of {last['requests']:,} requests failed"
    axes.set_title(f"{TITLES[walk['controller']]}: {walk['change']}\n{walk['verdict']}; {met}", fontsize="small")
    axes.set_ylim(-4, 104)
    axes.set_xlabel("seconds after the upgrade", fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_QUIET, labelsize="small")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
