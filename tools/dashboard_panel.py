"""A panel of the dashboard, and the queries in PromQL that panels share."""

from dataclasses import dataclass

_STAGES = ("decode", "queue", "batch", "predict", "encode")
OURS = "and on (namespace, pod) model_manager_build_info"  # what every process of Python has, of our servers alone


@dataclass(frozen=True)
class Panel:
    """A panel: its queries as (expression, legend). V and P in braces become the labels of versions and of pods."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    stacked: bool = False


def quantile(share: float, metric: str, by: str, labels: str = "V") -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def stages(share: float) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"histogram_quantile({share}, {rate(f'model_manager_{stage}_duration_seconds_bucket', 'le')})", stage)
        for stage in _STAGES
    )


def rate(metric: str, by: str, labels: str = "V") -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def increase(metric: str, by: str, labels: str = "V") -> str:
    return f"sum by ({by}) (increase({metric}{{{labels}}}[$__rate_interval]))"


OF_VERSION = "{{model_name}} {{model_version}}"
