"""Labels and bounds that several metrics share, and short ways to describe a counter and a duration."""

from typing import Final

from model_manager.metrics.instruments import Description

VERSION: Final = ("model_name", "model_version")

SECONDS: Final = tuple(2.0**power for power in range(-15, 4))
"""Powers of two from 30 µs to 8 s: each is a bucket bound of native histograms too, at every resolution, so that a
scraper which turns these buckets into native ones loses nothing."""


def counter(name: str, meaning: str, labels: tuple[str, ...], query: str) -> Description:
    """A counter, by its name without what every name begins and ends with."""
    return Description(f"model_manager_{name}", "counter", meaning, labels, query=query)


def duration(name: str, meaning: str, query: str) -> Description:
    """A histogram of seconds by version, by the name of what takes them."""
    name = f"model_manager_{name}_duration_seconds"
    return Description(name, "histogram", meaning, VERSION, "seconds", SECONDS, query=query)
