"""The dashboard's rows about requests: how many, how they ended, how long they took, and how they were batched."""

from tools.dashboard_panel import OF_VERSION, Panel, quantile, rate, stages

ROWS: dict[str, tuple[Panel, ...]] = {
    "Traffic and errors": (
        Panel(
            "Requests",
            "Predictions answered a second, by the version that really served.",
            "reqps",
            (
                (
                    rate("model_manager_requests_total", "model_name, model_version"),
                    OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Answers by status",
            "500: the estimator failed. 503: a full queue. 504: time ran out. 4xx and 499 are the callers' own.",
            "reqps",
            ((rate("model_manager_requests_total", "code"), "{{code}}"),),
            stacked=True,
        ),
        Panel(
            "Failed share by track",
            "5xx among what is not the callers' fault; 0.1% is the objective. A canary above stable is worse than it.",
            "percentunit",
            (
                (
                    rate("model_manager_requests_total", "model_name, track", 'V,code=~"5.."')
                    + " / "
                    + rate("model_manager_requests_total", "model_name, track", 'V,code!~"4.."'),
                    "{{model_name}} {{track}}",
                ),
            ),
        ),
        Panel(
            "Requests that reach no version",
            "404: a model or version that is not served. 503: known, but not ready.",
            "reqps",
            ((rate("model_manager_unrouted_requests_total", "code", "P"), "{{code}}"),),
        ),
        Panel(
            "Dropped requests",
            "Shed by a full queue, expired before they were predicted, or given up by their callers.",
            "reqps",
            (
                (
                    rate("model_manager_dropped_requests_total", "model_name, reason"),
                    "{{model_name}} {{reason}}",
                ),
            ),
        ),
        Panel(
            "In flight",
            "Requests that hold a version now.",
            "short",
            (("sum by (model_name, model_version) (model_manager_requests_in_flight{V})", OF_VERSION),),
        ),
    ),
    "Latency": (
        Panel(
            "Request p50 and p99",
            "From the first byte read to the answer handed to the socket.",
            "s",
            (
                (
                    quantile(0.5, "model_manager_request_duration_seconds", "model_name, model_version"),
                    f"{OF_VERSION} p50",
                ),
                (
                    quantile(0.99, "model_manager_request_duration_seconds", "model_name, model_version"),
                    f"{OF_VERSION} p99",
                ),
            ),
        ),
        Panel(
            "p50 by stage",
            "Where the time of a usual request goes, over the chosen models; batch and predict are per batch.",
            "s",
            stages(0.5),
        ),
        Panel(
            "p99 by stage",
            "Where the time of a slow request goes, over the chosen models; batch and predict are per batch.",
            "s",
            stages(0.99),
        ),
        Panel(
            "p99 by track",
            "A canary's against stable's.",
            "s",
            (
                (
                    quantile(0.99, "model_manager_request_duration_seconds", "model_name, track"),
                    "{{model_name}} {{track}}",
                ),
            ),
        ),
        Panel(
            "p99 of the time allowed",
            "At 1 requests are answered with 504; above a half there is an alert.",
            "percentunit",
            (
                (
                    quantile(0.99, "model_manager_request_duration_seconds", "model_name, model_version")
                    + " / on (model_name, model_version)"
                    + " min by (model_name, model_version) (model_manager_timeout_seconds{V})",
                    OF_VERSION,
                ),
            ),
        ),
    ),
    "Batching": (
        Panel(
            "Rows",
            "Rows predicted a second.",
            "rowsps",
            (
                (
                    rate("model_manager_rows_total", "model_name, model_version"),
                    OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Rows a batch",
            "Near one: the model is idle between requests, and none waits. It grows with load.",
            "short",
            (
                (
                    rate("model_manager_batch_rows_sum", "model_name, model_version")
                    + " / "
                    + rate("model_manager_batch_rows_count", "model_name, model_version"),
                    OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Queue",
            "Rows that wait, as a share of those that may, in the fullest pod. At 1 requests are turned away.",
            "percentunit",
            (
                (
                    "max by (model_name, model_version) (model_manager_queue_rows{V} / model_manager_queue_limit_rows)",
                    OF_VERSION,
                ),
            ),
        ),
    ),
}
