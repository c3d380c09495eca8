"""Every setting of the server: a flag, a variable and a documented line each.

No other module reads the environment. What is in it for OpenTelemetry is handed on unread; its SDK and exporters look
up themselves what they need beyond that: sampler, resource, endpoint, headers, certificates.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_manager.cpus import allowed_cpus

DEFAULTS_SHOWN = {"threads": "the CPUs allowed", "records": "none", "records_redact": "none"}
DEFAULTS_SHOWN |= {"admin_host": "as host", "admin_token": "none", "api_keys": "none"}
DEFAULTS_SHOWN |= {"tls_cert": "none", "tls_key": "none", "tls_client_ca": "none"}
"""Defaults that are found out at start or are empty, as help and documentation word them."""

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """Validated settings; explicit arguments (flags) win over `MODEL_MANAGER_…` variables, which win over defaults."""

    model_config = SettingsConfigDict(env_prefix="MODEL_MANAGER_", frozen=True, extra="forbid")

    models: Path = Field(description="Folder with models.yaml or <model>/<version>/model.joblib.")
    host: str = Field(default="0.0.0.0", description="Address of the prediction API.")
    port: Port = Field(default=8080, description="Port of the prediction API (0: any free one, named in the log).")
    admin_port: Port = Field(default=8081, description="Port of /metrics and health; keep it inside the cluster.")
    admin_host: str = Field(default="", description="Address of the admin port.")
    admin_token: Path | None = Field(
        default=None, description="File with the token that the admin port asks for, but for health."
    )
    debug_routes: bool = Field(default=False, description="Serve /debug/… on the admin port.")
    api_keys: Path | None = Field(
        default=None, description="File, or folder of files, with the API keys that are let in."
    )
    tls_cert: Path | None = Field(default=None, description="PEM file with the certificate chain of both ports.")
    tls_key: Path | None = Field(default=None, description="PEM file with its key.")
    tls_client_ca: Path | None = Field(
        default=None, description="PEM file with the CAs one of which must have signed an API client's certificate."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Server processes that share the API port.")
    threads: int = Field(
        default_factory=allowed_cpus,
        ge=1,
        le=256,
        description="Batches computed off the event loop at once.",
    )
    log_format: Literal["console", "json"] = Field(default="console", description="Log for people or machines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    log_requests: float = Field(
        default=0, ge=0, le=1, description="Share of the prediction requests that get a line in the log; 1: all."
    )
    log_model_errors: Literal["redacted", "full"] = Field(
        default="redacted", description="Log errors by type and place; full: also their texts, which may quote rows."
    )
    server_timing: bool = Field(
        default=False, description="Say in the response header server-timing where the time of a prediction went."
    )
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1, description="Largest body; a larger one gets 413.")
    max_rows_per_request: int = Field(default=10_000, ge=1, description="Most rows in one request; more get 400.")
    timeout_ms: float = Field(default=5000, gt=0, description="Time allowed where the manifest sets none.")
    library_mismatch: Literal["refuse", "warn"] = Field(
        default="warn", description="What to do with an artifact written by another scikit-learn version."
    )
    compile: Literal["auto", "off"] = Field(
        default="auto", description="Look for faster forms of a model, used once proven equal."
    )
    poll_interval_s: float = Field(default=10, gt=0, description="Read the folder at least this often.")
    keep_alive_s: int = Field(
        default=75, ge=1, description="Close idle connections after this; keep it above the proxy's."
    )
    drain_timeout_s: float = Field(
        default=20, ge=0, description="Longest wait for accepted requests when stopping or unloading."
    )

    records: str = Field(default="", description="URL (http, https) or file that prediction records go to.")
    records_sample: float = Field(default=1, ge=0, le=1, description="Share of predictions that are recorded.")
    records_redact: str = Field(
        default="", description="Columns and outputs whose values are left out of records, separated by commas."
    )

    @field_validator("port", mode="before")
    @classmethod
    def _ignore_service_link(cls, value: object) -> object:
        """Kubernetes gives every pod `MODEL_MANAGER_PORT=tcp://…` when a Service is called model-manager."""
        if isinstance(value, str) and value.startswith("tcp://"):
            return cls.model_fields["port"].default
        return value

    @field_validator("admin_token", "api_keys", "tls_cert", "tls_key", "tls_client_ca", mode="before")
    @classmethod
    def _is_named(cls, value: object) -> object:
        """A variable that was meant to name a file and is empty must not leave a door open."""
        if value == "":
            raise ValueError("is empty; name a file, or leave it unset")
        return value


def shown_default(name: str) -> str:
    """A setting's default as help and documentation show it."""
    field = Settings.model_fields[name]
    if field.is_required():
        return "required"
    shown = DEFAULTS_SHOWN.get(name, str(field.default))
    return shown.lower() if isinstance(field.default, bool) else shown


def opentelemetry_variables() -> dict[str, str]:
    """What the environment says to OpenTelemetry, for the traces room, which alone knows what each variable means."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
