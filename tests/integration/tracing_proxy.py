"""An Envoy with its own OpenTelemetry tracer in front of a server."""

from pathlib import Path
from typing import Any

from tests.envoy import TYPE, Envoy, listener
from tools.parts import module


def tracing_proxy(folder: Path, server: str, collector: str, *, protocol: str) -> Envoy:
    """Start Envoy; `server` and `collector` are URLs of loopback ports. Skips the test, or fails it, without Envoy.

    It records every request that no caller decided about, sends its spans to the collector by http/protobuf or grpc,
    and tells the server of them by traceparent. Raises ProcessFailed.
    """
    module("envoy")
    return Envoy(_bootstrap(server, collector, protocol), folder)


def _bootstrap(server: str, collector: str, protocol: str) -> dict[str, Any]:
    if protocol == "grpc":
        service = {"grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "5s"}}
    else:
        uri = {"uri": f"{collector}/v1/traces", "cluster": "collector", "timeout": "5s"}
        service = {"http_service": {"http_uri": uri}}
    tracer = {"@type": f"{TYPE}.config.trace.v3.OpenTelemetryConfig", "service_name": "envoy", **service}
    tracing = {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "server"}}
    routes = {"virtual_hosts": [{"name": "server", "domains": ["*"], "routes": [route]}]}
    options = f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": options,
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    behind = {"typed_extension_protocol_options": http2} if protocol == "grpc" else {}
    layer = {"name": "quick", "static_layer": {"tracing.opentelemetry.flush_interval_ms": 50}}
    return {
        "static_resources": {
            "listeners": [listener(tracing=tracing, route_config=routes)],
            "clusters": [_cluster("server", server), {**_cluster("collector", collector), **behind}],
        },
        "layered_runtime": {"layers": [layer]},
    }


def _cluster(name: str, url: str) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": int(url.rpartition(":")[2])}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
