"""The mesh's proxy: an Envoy that is told routes and endpoints through files, as a mesh tells it through xDS.

A file is replaced by a rename, and the call that wrote it returns once Envoy acts by it: without a restart, and without
losing a connection.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.envoy import TYPE, Envoy, listener
from tests.mesh.virtual_service import ROUTES
from tools.servers import ask, ask_json


class MeshProxy(Envoy):
    """A running proxy with a cluster for each track, which has no endpoints at first. Raises ProcessFailed."""

    def __init__(self, tracks: Collection[str], routes: Mapping[str, Any], folder: Path) -> None:
        self._folder = folder
        self._versions = 0
        self._routes = routes
        _write_routes(folder, routes, "0")
        for track in tracks:
            _write_endpoints(folder, track, [])
        super().__init__(_bootstrap(tracks, folder), folder)

    def route(self, configuration: Mapping[str, Any]) -> None:
        """Put a RouteConfiguration in force. Raises ProcessFailed when Envoy refuses it."""
        if configuration == self._routes:
            return  # Envoy passes over what it has, and would never tell the new version
        self._routes = configuration
        self._versions += 1
        _write_routes(self._folder, configuration, str(self._versions))
        self.wait_for(lambda: self._version_in_force() == str(self._versions), "to take the routes")
        # A worker may learn of them a moment after the admin port does: it knows once it has answered a request.
        ask(self.api)

    def endpoints(self, track: str, addresses: Collection[str]) -> None:
        """Say which servers a track has. Raises ProcessFailed when Envoy refuses it."""
        _write_endpoints(self._folder, track, addresses)
        wanted = {urlsplit(address).netloc for address in addresses}
        self.wait_for(lambda: self._hosts(track) == wanted, f"to take the endpoints of {track}")
        ask(self.api)

    def _version_in_force(self) -> str:
        (dump,) = ask_json(f"{self.admin}/config_dump?resource=dynamic_route_configs")["configs"]
        return str(dump["version_info"])

    def _hosts(self, track: str) -> set[str]:
        statuses = ask_json(f"{self.admin}/clusters?format=json")["cluster_statuses"]
        (cluster,) = [each for each in statuses if each["name"] == track]
        sockets = [each["address"]["socket_address"] for each in cluster.get("host_statuses", [])]
        return {f"{socket['address']}:{socket['port_value']}" for socket in sockets}


def _bootstrap(tracks: Collection[str], folder: Path) -> dict[str, Any]:
    routes = {"route_config_name": ROUTES, "config_source": _watched(folder, "routes")}
    return {
        "node": {"id": "split", "cluster": "split"},
        "static_resources": {
            "listeners": [listener(rds=routes)],
            "clusters": [
                {
                    "name": track,
                    "type": "EDS",
                    "connect_timeout": "1s",
                    # Istio's default; Envoy's own is three retries at a time
                    "circuit_breakers": {"thresholds": [{"max_retries": 2**32 - 1}]},
                    "eds_cluster_config": {"service_name": track, "eds_config": _watched(folder, f"endpoints-{track}")},
                }
                for track in tracks
            ],
        },
    }


def _watched(folder: Path, name: str) -> dict[str, Any]:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(folder / f"{name}.json")}}


def _write_routes(folder: Path, configuration: Mapping[str, Any], version: str) -> None:
    _replace(folder / "routes.json", {"@type": f"{TYPE}.config.route.v3.RouteConfiguration", **configuration}, version)


def _write_endpoints(folder: Path, track: str, addresses: Collection[str]) -> None:
    sockets = [{"address": "127.0.0.1", "port_value": urlsplit(address).port} for address in addresses]
    assignment = {
        "@type": f"{TYPE}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": track,
        "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": {"socket_address": socket}}} for socket in sockets]},
        ],
    }
    _replace(folder / f"endpoints-{track}.json", assignment, ",".join(sorted(addresses)) or "none")


def _replace(path: Path, resource: Mapping[str, Any], version: str) -> None:
    """Envoy looks when a file is moved to the path, and only then."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps({"version_info": version, "resources": [resource]}))
    unfinished.rename(path)
