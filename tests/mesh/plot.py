"""The walk as a picture: the canary's share over time against its weight, and the requests that failed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.mesh.traffic import bounds

_MEASURED, _WANTED, _BOUNDS, _FAILED, _QUIET = "#1f6feb", "#24292f", "#e3872d", "#d1242f", "#57606a"


def draw(document: Mapping[str, Any], caption: str, path: Path) -> None:
    """Draw the share of every slice of time above, requests and failures below."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    figure = Figure(figsize=(11, 6), layout="constrained")
    share, load = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_shares(share, document)
    _draw_load(load, document)
    share.set_title(caption, fontsize="small", loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_shares(axes: Any, document: Mapping[str, Any]) -> None:
    for number, step in enumerate(document["steps"]):
        first = number == 0
        at, wanted = [step["from_s"], step["to_s"]], step["weight"] / 100
        each_slice = max(1, round(step["requests"] / (at[1] - at[0]) * document["slice_s"]))
        least, most = (100 * bound / each_slice for bound in bounds(each_slice, wanted))
        label = "99.9% bounds of a dot" if first else None
        axes.fill_between(at, least, most, color=_BOUNDS, alpha=0.35, linewidth=0, label=label)
        axes.plot(at, [step["weight"]] * 2, color=_WANTED, linewidth=1.2, label="weight" if first else None)
        axes.axvline(step["from_s"], color="#d0d7de", linewidth=0.8, zorder=0)
        middle = (step["from_s"] + step["to_s"]) / 2
        below = step["weight"] > 90
        axes.annotate(
            f"{step['name']}\n{step['share']:.2%} of {step['requests']:,}",
            (middle, step["weight"]),
            xytext=(0, -16 if below else 16),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            fontsize="small",
        )
    slices = [each for each in document["slices"] if each["requests"]]
    axes.plot(
        [each["at_s"] for each in slices],
        [100 * each["canary"] / each["requests"] for each in slices],
        "o",
        color=_MEASURED,
        markersize=4,
        label=f"measured in {document['slice_s']:g} s",
    )
    axes.set_ylabel("share of the canary in %")
    axes.set_ylim(-4, 104)
    axes.set_yticks([0, 5, 25, 50, 75, 100])
    axes.legend(loc="upper left", fontsize="small", frameon=False)
    _quiet(axes)


def _draw_load(axes: Any, document: Mapping[str, Any]) -> None:
    at = [each["at_s"] for each in document["slices"]]
    rate = [each["requests"] / document["slice_s"] for each in document["slices"]]
    failed = [each["failed"] / document["slice_s"] for each in document["slices"]]
    axes.fill_between(at, rate, color="#9aa5b1", alpha=0.5, linewidth=0, label="requests/s")
    total = sum(each["failed"] for each in document["slices"])
    axes.plot(at, failed, color=_FAILED, linewidth=1.4, label=f"failed: {total}")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, document["steps"][-1]["to_s"])
    axes.set_xlabel("seconds")
    axes.set_ylabel("requests/s")
    axes.legend(loc="lower left", fontsize="small", frameon=False)
    _quiet(axes)


def _quiet(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_QUIET, labelsize="small")
