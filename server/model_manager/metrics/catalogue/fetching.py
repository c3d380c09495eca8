"""What is shown of artifacts that are brought here from stores, and of the cache that keeps them."""

from typing import Final

from model_manager.metrics.catalogue.labels_and_bounds import counter
from model_manager.metrics.instruments import Description

FETCHED_BYTES: Final = Description(
    "model_manager_fetched_bytes",
    "counter",
    "Bytes of remote artifacts that came, counted as they come.",
    unit="bytes",
    query="sum by (pod) (rate(model_manager_fetched_bytes_total[5m]))",
)
FETCH_SECONDS: Final = Description(
    "model_manager_fetch_seconds",
    "counter",
    "Time that fetching remote artifacts took, whether it succeeded or not.",
    unit="seconds",
    query="rate(model_manager_fetched_bytes_total[1h]) / rate(model_manager_fetch_seconds_total[1h])",
)
FETCHED_FROM_CACHE: Final = counter(
    "fetched_from_cache",
    "Loads of remote artifacts for which the cache had the bytes.",
    (),
    "sum by (pod) (increase(model_manager_fetched_from_cache_total[1h]))",
)
FETCH_FAILURES: Final = counter(
    "fetch_failures",
    "Remote artifacts that did not come, by reason: unreachable, store_refused, missing, digest_mismatch and others.",
    ("reason",),
    "sum by (reason) (increase(model_manager_fetch_failures_total[10m])) > 0",
)
CACHE_BYTES: Final = Description(
    "model_manager_cache_bytes",
    "gauge",
    "Bytes that the cache of remote artifacts holds, which all processes of a pod share.",
    unit="bytes",
    across="max",
    query="max by (pod) (model_manager_cache_bytes)",
)
