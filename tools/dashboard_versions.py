"""The dashboard's rows about versions, what they predict, and the processes that serve them."""

from tools.dashboard_panel import OF_VERSION, OURS, Panel, increase, quantile, rate

_BY_COLUMN = "sum by (model_name, model_version, kind, column)"
_ROWS_OF_POD = "* on (namespace, pod, model_name, model_version) group_left model_manager_drift_window_rows{V}"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Versions": (
        Panel(
            "State",
            "Pods in which a version is in a state. What fails is tried again; the repository index has the reason.",
            "short",
            (
                (
                    "count by (model_name, model_version, state) (model_manager_version_state{V} == 1)",
                    f"{OF_VERSION} {{{{state}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Default version",
            "The version that answers when a request names none, by pod.",
            "short",
            (
                (
                    "max by (model_name, model_version, pod) (model_manager_default_version{V} == 1)",
                    f"{OF_VERSION} {{{{pod}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Form",
            "What computes the answers: scikit-learn, or an equivalent that proved equal.",
            "short",
            (
                (
                    "count by (model_name, model_version, form) (model_manager_predictor_form{V} == 1)",
                    f"{OF_VERSION} {{{{form}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Load time",
            "Seconds that each phase of the last load took.",
            "s",
            (
                (
                    "max by (model_name, model_version, phase) (model_manager_version_load_seconds{V})",
                    f"{OF_VERSION} {{{{phase}}}}",
                ),
            ),
            kind="table",
        ),
        Panel(
            "Failed loads",
            "Each is tried again, for as long as the version is wanted.",
            "short",
            (
                (
                    increase("model_manager_load_failures_total", "model_name, model_version, reason"),
                    f"{OF_VERSION} {{{{reason}}}}",
                ),
            ),
        ),
    ),
    "Predictions": (
        Panel(
            "Predicted labels",
            "Share of each label among a classifier's predictions. A shift is new input, or a new version.",
            "percentunit",
            (
                (
                    rate("model_manager_predictions_total", "model_name, model_version, label")
                    + " / on (model_name, model_version) group_left "
                    + rate("model_manager_predictions_total", "model_name, model_version"),
                    f"{OF_VERSION} {{{{label}}}}",
                ),
            ),
        ),
        Panel(
            "Predicted numbers",
            "A regressor's p10, median and p90. Bounds are the deciles of its training data, where it has a baseline.",
            "short",
            tuple(
                (
                    quantile(share, "model_manager_prediction_value", "model_name, model_version"),
                    f"{OF_VERSION} {name}",
                )
                for share, name in ((0.1, "p10"), (0.5, "p50"), (0.9, "p90"))
            ),
        ),
    ),
    "Drift": (
        Panel(
            "Columns that drifted most",
            "PSI against the training data, over all pods by their rows. From 0.2 on it is a major shift.",
            "short",
            (
                (
                    (
                        f"{_BY_COLUMN} (model_manager_drift_psi{{V}} {_ROWS_OF_POD})"
                        f" / {_BY_COLUMN} ((model_manager_drift_psi{{V}} >= bool 0) {_ROWS_OF_POD})"
                    ),
                    f"{OF_VERSION} {{{{column}}}}",
                ),
            ),
        ),
        Panel(
            "Drifted columns",
            "Features and outputs whose PSI is above 0.2 and above what chance may show, in the pod that has most.",
            "short",
            (("max by (model_name, model_version) (model_manager_drifted_columns{V})", OF_VERSION),),
        ),
        Panel(
            "Rows that drift is measured on",
            "Sampled rows of the last hour, by where the baseline comes from: the package, or the first rows served.",
            "short",
            (
                (
                    "sum by (model_name, model_version, baseline) (model_manager_drift_window_rows{V})",
                    f"{OF_VERSION} {{{{baseline}}}}",
                ),
            ),
        ),
    ),
    "Live accuracy": (
        Panel(
            "Right answers",
            "Share of right answers, of those with a label whose time for one ended within the last hour.",
            "percentunit",
            (
                (
                    (
                        "sum by (model_name, model_version) "
                        '(increase(model_manager_labelled_predictions_total{V,outcome="right"}[1h]))'
                        " / sum by (model_name, model_version) "
                        '(increase(model_manager_labelled_predictions_total{V,outcome=~"right|wrong"}[1h]))'
                    ),
                    OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Mean absolute error",
            "Of answered numbers with a label whose time for one ended within the last hour.",
            "short",
            (
                (
                    (
                        "sum by (model_name, model_version) "
                        "(increase(model_manager_prediction_absolute_error_sum{V}[1h]))"
                        " / sum by (model_name, model_version) "
                        "(increase(model_manager_prediction_absolute_error_count{V}[1h]))"
                    ),
                    OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Answers with a label",
            "Labels that came in time, of the answers whose time is over. Where they are few, figures say little.",
            "percentunit",
            (
                (
                    (
                        "sum by (model_name, model_version) (increase(model_manager_labelled_predictions_total{V}[1h]))"
                        " / sum by (model_name, model_version) "
                        "(increase(model_manager_mature_predictions_total{V}[1h]))"
                    ),
                    OF_VERSION,
                ),
            ),
        ),
        Panel(
            "Label lag",
            "Time from an answer to its label: median and 90th percentile.",
            "s",
            tuple(
                (
                    quantile(share, "model_manager_label_lag_seconds", "model_name, model_version"),
                    f"{OF_VERSION} {name}",
                )
                for share, name in ((0.5, "p50"), (0.9, "p90"))
            ),
        ),
    ),
    "Convergence": (
        Panel(
            "Wanted but not in force",
            "Seconds since what is not in force was wanted. 0: what is wanted is served.",
            "s",
            (("max by (pod) (model_manager_convergence_lag_seconds{P})", "{{pod}}"),),
        ),
        Panel(
            "Generations",
            "States wanted so far, and the one in force.",
            "short",
            (
                ("max by (pod) (model_manager_wanted_generation{P})", "{{pod}} wanted"),
                ("max by (pod) (model_manager_in_force_generation{P})", "{{pod}} in force"),
            ),
        ),
        Panel(
            "Unreadable folder",
            "Looks at the models folder that failed; what serves goes on.",
            "short",
            (
                (
                    increase("model_manager_source_failures_total", "pod, reason", "P"),
                    "{{pod}} {{reason}}",
                ),
            ),
        ),
    ),
    "Process": (
        Panel(
            "CPU",
            "Cores used.",
            "short",
            ((f"sum by (pod) (rate(process_cpu_seconds_total{{P}}[$__rate_interval]) {OURS})", "{{pod}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory.",
            "bytes",
            ((f"sum by (pod) (process_resident_memory_bytes{{P}} {OURS})", "{{pod}}"),),
        ),
        Panel(
            "Garbage collections",
            "Runs of Python's collector a second, by generation.",
            "short",
            (
                (
                    f"sum by (pod, generation) (rate(python_gc_collections_total{{P}}[$__rate_interval]) {OURS})",
                    "{{pod}} gen {{generation}}",
                ),
            ),
        ),
        Panel(
            "Event loop lag",
            "p99 of how late the loop runs what is due. All requests of a pod wait that long.",
            "s",
            ((quantile(0.99, "model_manager_event_loop_lag_seconds", "pod", "P"), "{{pod}}"),),
        ),
        Panel("Ready", "Pods that want traffic.", "short", (("sum by (track) (model_manager_ready{P})", "{{track}}"),)),
    ),
    "Telemetry": (
        Panel(
            "Spans",
            "Sent to the collector, and lost on the way. Predictions never wait for them.",
            "ops",
            (
                ("sum(rate(model_manager_spans_exported_total{P}[$__rate_interval]))", "sent"),
                (rate("model_manager_spans_dropped_total", "reason", "P"), "lost: {{reason}}"),
            ),
        ),
        Panel(
            "Prediction records",
            "Records of predictions: sent, sampled out as asked, and lost.",
            "ops",
            ((rate("model_manager_prediction_records_total", "outcome", "P"), "{{outcome}}"),),
        ),
        Panel(
            "Ledger",
            "Entries of what served when: written, and lost because the disk did not take them.",
            "ops",
            ((rate("model_manager_ledger_entries_total", "outcome", "P"), "{{outcome}}"),),
        ),
    ),
}
