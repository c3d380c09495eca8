"""What is counted and timed, and how it is told to Prometheus.

In the flow: the request path, batcher and manager count in Metrics and its views of single versions; a scrape adds what
exists anyway (LiveFamilies, ProcessMetrics), merges several processes, and writes the whole (Exposition). This is the
room's door: the rest of the server imports from here alone. Each metric is described in catalogue/.
"""

from model_manager.metrics.catalogue.drift import DRIFT
from model_manager.metrics.catalogue.feedback import ACCURACY
from model_manager.metrics.catalogue.process import READY
from model_manager.metrics.catalogue.requests import REQUEST_SECONDS, REQUESTS
from model_manager.metrics.exposition import Exposition
from model_manager.metrics.instruments import Family
from model_manager.metrics.live import (
    Convergence,
    Counted,
    DriftedColumn,
    LiveAccuracy,
    LiveDrift,
    LiveFamilies,
    LiveServable,
)
from model_manager.metrics.loop_lag import measure_loop_lag
from model_manager.metrics.merge import merge_families
from model_manager.metrics.predictions import COUNTED_OUTPUT
from model_manager.metrics.process_metrics import ProcessMetrics
from model_manager.metrics.recording import DropReason, ExplainOutcome, Metrics, ServableMetrics

__all__ = [
    "ACCURACY",
    "COUNTED_OUTPUT",
    "DRIFT",
    "READY",
    "REQUESTS",
    "REQUEST_SECONDS",
    "Convergence",
    "Counted",
    "DriftedColumn",
    "DropReason",
    "ExplainOutcome",
    "Exposition",
    "Family",
    "LiveAccuracy",
    "LiveDrift",
    "LiveFamilies",
    "LiveServable",
    "Metrics",
    "ProcessMetrics",
    "ServableMetrics",
    "measure_loop_lag",
    "merge_families",
]
