"""Make docs/settings.md from the settings that the server reads: python -m tools.settings_page, or `make docs`."""

from model_manager.settings import Settings, shown_default

from tools.processes import ROOT

PAGE = ROOT / "docs" / "settings.md"

GROUPS = {
    "What is served, and where": (
        *("models", "host", "port", "grpc_port", "admin_host", "admin_port", "workers", "threads"),
    ),
    "Requests": (
        *("timeout_ms", "max_body_bytes", "max_rows_per_request", "compress_from_bytes", "compile"),
        "invocations_model",
    ),
    "Who is let in": (
        *("api_keys", "tls_cert", "tls_key", "tls_client_ca", "allowed_hosts", "cors_origins"),
        *("admin_token", "debug_routes", "repository_control", "console_on_api", "console_actions"),
    ),
    "Connections": (
        *("keep_alive_s", "max_connections", "max_receiving_bytes", "max_header_bytes", "max_headers"),
        *("header_timeout_s", "body_timeout_s", "write_timeout_s"),
    ),
    "What is demanded of artifacts": (
        *("artifact_roots", "artifact_stores", "max_artifact_mb", "allowed_formats", "skops_trusted", "require_digest"),
        *("signature_key", "signature_certificate", "artifact_owners", "refuse_writable", "library_mismatch"),
    ),
    "Loading": (
        *("poll_interval_s", "load_isolation", "load_timeout_s", "load_cpu_s", "load_memory_mb"),
        *("fetch_timeout_s", "cache", "cache_mb"),
    ),
    "Starting, stopping, and what goes wrong": (
        *("ready_when", "drain_timeout_s", "lame_duck_s", "state", "frozen_after_s"),
    ),
    "What is told": (
        *("log_format", "log_level", "log_requests", "log_model_errors", "server_timing"),
        *("records", "records_sample", "records_redact"),
        "drift_rows_per_s",
        *("explain_queue_rows", "explain_budget"),
        *("feedback_window_s", "feedback_entries", "feedback_mb", "feedback_share", "feedback_peers"),
        *("ledger", "ledger_mb", "ledger_days"),
    ),
}
"""Every setting once, in the order in which people look for them."""

_INTRODUCTION = """# Settings

<!-- made from server/model_manager/settings.py by `make docs` -->

Every setting is a flag of `model-manager serve` and an environment variable; flags win. The chart has them all under
`settings`, in camel case. What tracing reads of the environment, OpenTelemetry's own variables, is in
[observe.md](observe.md). What [threat-model.md](threat-model.md) asks of an operator is set here.
"""

_HEAD = """| flag | variable | default | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """The whole page."""
    sections = [f"## {title}\n\n{_HEAD}" + "".join(map(_row, names)) for title, names in GROUPS.items()]
    return "\n".join([_INTRODUCTION, *sections])


def _row(name: str) -> str:
    flag, variable = f"--{name.replace('_', '-')}", f"MODEL_MANAGER_{name.upper()}"
    return f"| `{flag}` | `{variable}` | {shown_default(name)} | {Settings.model_fields[name].description} |\n"


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
