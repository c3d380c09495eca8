"""What a scrape of many versions costs, as it was last measured: the figures' file, and the sentence made of them."""

from collections.abc import Mapping
from typing import Final

from tools.processes import ROOT

RESULT: Final = ROOT / "loadtests" / "results" / "scrape.json"
SCRAPES: Final = 15


def summary(said: Mapping[str, object]) -> str:
    """The figures as a sentence, for people and for docs/metrics.md."""
    return (
        f"{said['versions']:,} versions: {said['samples']:,} samples, {said['megabytes']} MB. A scrape took "
        f"{said['scrape_ms']} ms where each version had traffic since the last one (median over HTTP; the slowest of "
        f"{SCRAPES} took {said['slowest_scrape_ms']} ms), and {said['idle_scrape_ms']} ms where none had. "
        f"The p99 of predictions asked one after the other was {said['prediction_beside_p99_ms']} ms beside scrapes "
        f"without a pause between them, and {said['prediction_alone_p99_ms']} ms alone."
    )
