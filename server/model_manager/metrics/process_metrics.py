"""What Prometheus users expect of any process (CPU, memory, file descriptors, garbage collection), as families.

prometheus-client measures them; its samples are put into families, which is what is merged and written here.
"""

from typing import Final, Literal, cast

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from model_manager.metrics.instruments import Description, Family, Kind, Series

_ACROSS: Final[dict[str, Literal["max", "min"]]] = {
    "process_start_time_seconds": "min",
    "process_max_fds": "min",
    "python_info": "max",
}
"""How a gauge of several processes becomes one; everything else is summed."""


class ProcessMetrics:
    """Measures this process at every scrape."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def families(self) -> list[Family]:
        """What the process uses now. Reads a few files of /proc."""
        families = []
        for metric in self._registry.collect():
            names = tuple(metric.samples[0].labels) if metric.samples else ()
            description = Description(
                metric.name,
                cast(Kind, metric.type),
                metric.documentation,
                names,
                across=_ACROSS.get(metric.name, "sum"),
            )
            series = [
                Series(tuple(sample.labels[name] for name in names), sample.value)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            families.append(Family(description, series))
        return families
