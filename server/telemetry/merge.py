"""Add up the metrics of several processes: one scrape for one pod, without files that outlive their process.

Each worker hands over its samples as plain values (`take`); the supervisor adds them up (`merge`) and exposes the sum.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


class Family(msgspec.Struct, array_like=True):
    """One metric family of one process; each sample is (name, labels, value)."""

    name: str
    documentation: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


_COMBINE: dict[str, Callable[[Sequence[float]], float]] = {
    "model_manager_version_state": max,
    "model_manager_version_info": max,
    "model_manager_predictor_form": max,
    "model_manager_predictor_speedup_ratio": min,
    "model_manager_predictor_largest_difference": max,
    "model_manager_last_convergence_timestamp_seconds": min,  # the pod has converged when its last worker has
    "process_start_time_seconds": min,
    "process_max_fds": min,
    "python_info": max,
}
"""How a gauge of several processes becomes one; every other one, and every counter and histogram, is summed."""


def take(registry: CollectorRegistry) -> list[Family]:
    """Read every sample of a registry as plain values. Creation times are left out: they do not add up."""
    return [
        Family(
            family.name,
            family.documentation,
            family.type,
            [(s.name, s.labels, s.value) for s in family.samples if not s.name.endswith("_created")],
        )
        for family in registry.collect()
    ]


def merge(processes: Iterable[Sequence[Family]]) -> list[Metric]:
    """Combine the families of several processes into one list of metrics, in the order they first appear."""
    metrics: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
    for families in processes:
        for family in families:
            if family.name not in metrics:
                metrics[family.name] = Metric(family.name, family.documentation, family.type)
            collected = values.setdefault(family.name, {})
            for name, labels, value in family.samples:
                collected.setdefault((name, tuple(labels.items())), []).append(value)
    for name, metric in metrics.items():
        combine = _COMBINE.get(name, sum)
        metric.samples = [
            Sample(sample, dict(labels), combine(numbers)) for (sample, labels), numbers in values[name].items()
        ]
    return list(metrics.values())


class MergedCollector(Collector):
    """Exposes metrics that were merged before."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Yield what was merged."""
        return self._metrics
