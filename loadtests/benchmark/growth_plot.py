"""What grows with the number of models as a picture: a panel a measure, the number of models along it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loadtests.benchmark.growth import Grown

_PANELS: Final = {
    "rate": "requests/s",
    "p99_ms": "p99, ms",
    "resident_mb": "memory, MB",
    "start_s": "start, s",
    "swap_s": "swap to answer, s",
    "scrape_ms": "scrape, ms",
}


def draw(growth: Mapping[int, Grown], caption: str, path: Path) -> None:
    """Write the picture."""
    from matplotlib.figure import Figure  # slow to import, and only wanted here

    figure = Figure(figsize=(12, 6), layout="constrained")
    counts = list(growth)
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, _PANELS.items(), strict=True):
        axes.plot(counts, [getattr(growth[count], name) for count in counts], marker="o", color="#1f6feb")
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_title(title, fontsize="small")
        axes.set_xlabel("models")
    figure.suptitle(caption, fontsize="small", x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
