"""Every setting of the server: a flag, a variable and a documented line each.

No other module reads the environment. What is in it for OpenTelemetry is handed on unread; its SDK and exporters look
up themselves what they need beyond that: sampler, resource, endpoint, headers, certificates.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from model_manager.cpus import allowed_cpus

DEFAULTS_SHOWN = {
    "threads": "the CPUs allowed",
    "load_memory_mb": "what is left",
    "state": "none",
    "ledger": "ledger in the folder of --state, if there is one",
    "records": "none",
    "records_redact": "none",
    "allowed_hosts": "any",
    "cors_origins": "none",
    "invocations_model": "the only one",
    "admin_host": "as host",
    "grpc_port": "none",
    "admin_token": "none",
    "api_keys": "none",
    "tls_cert": "none",
    "tls_key": "none",
    "tls_client_ca": "none",
    "artifact_owners": "any",
    "cache": "a temporary folder",
    "skops_trusted": "none",
    "signature_key": "none",
    "signature_certificate": "none",
}
"""Defaults that are found out at start or are empty, as help and documentation word them."""

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """Validated settings; explicit arguments (flags) win over `MODEL_MANAGER_…` variables, which win over defaults."""

    model_config = SettingsConfigDict(env_prefix="MODEL_MANAGER_", frozen=True, extra="forbid", allow_inf_nan=False)

    models: Path = Field(description="Folder with models.yaml or <model>/<version>/model.joblib.")
    host: str = Field(default="0.0.0.0", description="Address of the prediction API.")
    port: Port = Field(default=8080, description="Port of the prediction API (0: any free one, named in the log).")
    admin_port: Port = Field(default=8081, description="Port of /metrics and health; keep it inside the cluster.")
    admin_host: str = Field(default="", description="Address of the admin port.")
    grpc_port: Port | None = Field(
        default=None, description="Port of the same API over gRPC, 8082 by custom (0: any free one); needs grpc."
    )
    admin_token: Path | None = Field(
        default=None, description="File with the token that the admin port asks for, but for health."
    )
    debug_routes: bool = Field(default=False, description="Serve /debug/… on the admin port.")
    console_on_api: bool = Field(default=False, description="Serve /console on the API port, too.")
    console_actions: bool = Field(default=False, description="Let /console on the admin port load and unload models.")
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
    compress_from_bytes: int = Field(
        default=1024 * 1024,
        ge=1,
        description="Least size of an answer that is compressed for a client that takes gzip or deflate.",
    )
    max_rows_per_request: int = Field(default=10_000, ge=1, description="Most rows in one request; more get 400.")
    timeout_ms: float = Field(
        default=5000, gt=0, le=86_400_000, description="Time allowed where the manifest sets none."
    )
    library_mismatch: Literal["refuse", "warn"] = Field(
        default="warn", description="What to do with an artifact written by another scikit-learn version."
    )
    compile: Literal["auto", "off"] = Field(
        default="auto", description="Look for faster forms of a model, used once proven equal."
    )
    load_isolation: Literal["process", "none"] = Field(
        default="process", description="Where a version is tried before it is loaded: in a process of its own (Linux)."
    )
    load_timeout_s: float = Field(default=300, gt=0, description="Longest that trying a version may take.")
    load_cpu_s: int = Field(default=120, ge=1, description="Most CPU time that trying a version may take.")
    load_memory_mb: int | None = Field(
        default=None, ge=1, description="Most memory that trying a version may take, in MiB."
    )
    poll_interval_s: float = Field(default=10, gt=0, description="Read the folder at least this often.")
    keep_alive_s: int = Field(
        default=75, ge=1, description="Close idle connections after this; keep it above the proxy's."
    )
    drain_timeout_s: float = Field(
        default=20, ge=0, description="Longest wait for accepted requests when stopping or unloading."
    )
    lame_duck_s: float = Field(
        default=5, ge=0, description="After SIGTERM, serve on this long, or until no request comes; each answer closes."
    )
    allowed_hosts: str = Field(
        default="", description="Host names answered on the API port, separated by commas; *.x: all below x."
    )
    cors_origins: str = Field(
        default="", description="Origins whose pages browsers may let ask, separated by commas; *: any."
    )
    invocations_model: str = Field(
        default="", description="Model that answers MLflow's /invocations, where several are served."
    )
    repository_control: bool = Field(
        default=False, description="Take load and unload of models on the API port, too; one process only."
    )
    max_connections: int = Field(
        default=10_000, ge=1, description="Most connections of a port at once, in each process; more get 503."
    )
    max_receiving_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1,
        description="Most bytes of unfinished bodies; beyond, the largest get 503.",
    )
    max_header_bytes: int = Field(
        default=32 * 1024, ge=1024, description="Longest request line and headers together; longer ones get 431."
    )
    max_headers: int = Field(default=100, ge=1, description="Most headers of a request; more get 431.")
    header_timeout_s: int = Field(default=10, ge=1, description="Longest wait for the rest of headers; then 408.")
    body_timeout_s: int = Field(
        default=30, ge=1, description="Longest wait for a body, and a second more per 64 KiB of it; then 408."
    )
    write_timeout_s: int = Field(
        default=30, ge=1, description="Longest wait for an answer to be taken, and a second more per 64 KiB taken."
    )

    artifact_roots: str = Field(
        default="/artifacts",
        description="Folders outside of the models folder below which artifacts may lie, separated by commas.",
    )
    max_artifact_mb: int = Field(
        default=4096, ge=1, le=1_048_576, description="Largest artifact in MiB; a larger one is not read."
    )
    allowed_formats: str = Field(
        default="joblib,skops,onnx", description="Formats of artifacts that are loaded, separated by commas."
    )
    skops_trusted: str = Field(
        default="", description="Types that skops artifacts may hold besides those skops knows, separated by commas."
    )
    artifact_stores: str = Field(
        default="s3://,gs://,az://,https://",
        description="Beginnings of the URIs that artifacts are fetched from, separated by commas; see docs/stores.md.",
    )
    cache: str = Field(default="", description="Folder that keeps fetched artifacts, for all workers and restarts.")
    cache_mb: int = Field(
        default=10_240, ge=1, le=16_777_216, description="Most MiB of fetched artifacts kept, but for those wanted now."
    )
    fetch_timeout_s: float = Field(
        default=60, gt=0, le=3600, description="Longest wait for a store of artifacts, and a second more per 64 KiB."
    )
    require_digest: bool = Field(
        default=False, description="Refuse artifacts whose sha256 neither models.yaml nor metadata.json declares."
    )
    signature_key: str = Field(
        default="", description="Public key (PEM) by which every version must be signed; see docs/signing.md."
    )
    signature_certificate: str = Field(
        default="", description="Certificates (PEM) that vouch for who signs; every version must be signed."
    )
    artifact_owners: str = Field(
        default="", description="User ids that files of models may belong to, separated by commas."
    )
    refuse_writable: bool = Field(
        default=False, description="Refuse files of models that their group or others may write to."
    )

    state: str = Field(
        default="", description="Folder that remembers which versions ended the server; none: see docs/crashes.md."
    )
    ready_when: Literal["every-model", "any-model"] = Field(
        default="every-model", description="Be ready, at start, once every model answers, or once any does."
    )
    frozen_after_s: float = Field(
        default=20, gt=0, description="With several workers: end one whose event loop stands still for longer."
    )

    records: str = Field(default="", description="URL (http, https) or file that prediction records go to.")
    records_sample: float = Field(default=1, ge=0, le=1, description="Share of predictions that are recorded.")
    records_redact: str = Field(
        default="", description="Columns and outputs whose values are left out of records, separated by commas."
    )

    drift_rows_per_s: float = Field(
        default=100, ge=0, le=200, description="Most rows a second that drift of a version is counted on; 0: none."
    )

    explain_queue_rows: int = Field(
        default=64,
        ge=0,
        le=10_000,
        description="Most rows that wait for an explanation at once; 0: none are explained.",
    )
    explain_budget: int = Field(
        default=2000,
        ge=1,
        le=1_000_000,
        description="Rows a model is asked for each that is explained, where it is explained by asking it.",
    )
    feedback_window_s: float = Field(
        default=0,
        ge=0,
        le=7_776_000,
        description="Seconds in which a label may come after its answer; 0: none is taken.",
    )
    feedback_entries: int = Field(
        default=100_000, ge=1, le=10_000_000, description="Most requests of a version whose answers wait for labels."
    )
    feedback_mb: int = Field(
        default=64, ge=1, le=65_536, description="Most MiB that the answers of a version take which wait for labels."
    )
    feedback_share: float = Field(
        default=1, ge=0, le=1, description="Share of requests whose answers wait for labels, chosen by their ids."
    )
    feedback_peers: str = Field(
        default="", description="Address of all pods' admin ports, http://NAME:PORT: labels are told to each of them."
    )

    ledger: str = Field(
        default="", description="Folder that the ledger is kept in: what served when, and who changed it."
    )
    ledger_mb: int = Field(default=64, ge=1, le=1_048_576, description="Most MiB that the ledger takes.")
    ledger_days: int = Field(default=400, ge=1, description="Days after which a file of the ledger is deleted.")

    @field_validator("port", "admin_port", "grpc_port", mode="before")
    @classmethod
    def _ignore_service_link(cls, value: object, info: ValidationInfo) -> object:
        """Kubernetes gives every pod `MODEL_MANAGER_PORT=tcp://…` when a Service is called model-manager.

        `MODEL_MANAGER_GRPC_PORT=tcp://…` when one is called model-manager-grpc.
        """
        if isinstance(value, str) and value.startswith("tcp://"):
            return cls.model_fields[info.field_name or "port"].default
        return value

    @field_validator("admin_token", "api_keys", "tls_cert", "tls_key", "tls_client_ca", mode="before")
    @classmethod
    def _is_named(cls, value: object) -> object:
        """A variable that was meant to name a file and is empty must not leave a door open."""
        if value == "":
            raise ValueError("is empty; name a file, or leave it unset")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in filter(None, (one.strip() for one in value.split(","))):
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[a-z0-9.:\[\]-]+", origin):
                raise ValueError(
                    f"{origin!r} is no origin as browsers send it, such as https://shop.example:8443: scheme and host "
                    "in lower case, and no path"
                )
        return value

    @property
    def ledger_folder(self) -> Path | None:
        """Where the ledger is kept; None where it is not."""
        if self.ledger:
            return Path(self.ledger)
        return Path(self.state) / "ledger" if self.state else None


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


def wants_colours() -> bool:
    """Whether a terminal may be coloured: not where NO_COLOR is set (https://no-color.org), or it is a dumb one."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def environment() -> dict[str, str]:
    """All variables as they are now, to tell what model code makes of them."""
    return dict(os.environ)


def set_environment(variables: dict[str, str]) -> None:
    """Give variables these values again; others stay."""
    os.environ.update(variables)
