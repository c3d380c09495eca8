"""The server under test, its mounted folder, and the traffic: what a run's swaps are done to."""

import contextlib
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from loadtests.chaos.artifacts import Placed, tiny
from loadtests.chaos.judging import Allowed
from loadtests.chaos.traffic import CHANGING, STEADY, UNCHANGED, WIDTH
from tools.kubelet import ConfigMapVolume, Step
from tools.patience import LIMIT_S, Limit
from tools.processes import Process, ProcessFailed, without_server_settings
from tools.servers import Server, ask, is_settled

_PAUSE_S: Final = 0.002


class Stuck(Exception):
    """What should happen did not, for longer than it may take; the text says what."""


class Stage:
    """A server of two models, one of which changes, started again like a pod when it ends by itself."""

    def __init__(self, folder: Path, *, flags: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.elsewhere = folder / "volume"
        self.elsewhere.mkdir()
        self.allowed = Allowed()
        self.restarts: list[str] = []
        self.versions: dict[str, Placed] = {}
        self.default = ""
        self.answering = ""
        """The version that answers when a request names none."""
        self._steady = tiny(STEADY)
        self._volume = ConfigMapVolume(folder / "mount")
        self._port, self._admin_port = _free_port(), _free_port()
        self._flags = flags
        self._server: Server | None = None
        self._asking: HTTPConnection | None = None

    @property
    def mount(self) -> Path:
        """The folder that the server is given."""
        return self._volume.folder

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._server is not None
        return self._server.popen.pid

    def write(self, *, manifest: Callable[[bytes], bytes] = lambda good: good) -> float:
        """Write the ConfigMap as the kubelet does, and return the moment at which it changed."""
        changed = [time.monotonic()]

        def note(step: Step) -> None:
            if step == "swapped":
                changed.append(time.monotonic())

        data = {f"m-{name}.joblib": one.content for name, one in self.versions.items() if one.content is not None}
        text = manifest(self._manifest())
        self._volume.write({"models.yaml": text, "steady.joblib": self._steady, **data}, at_step=note)
        return changed[-1]

    def _manifest(self) -> bytes:
        lines = ["models:", f"  {UNCHANGED}: {{versions: {{'1': {{artifact: steady.joblib}}}}}}", f"  {CHANGING}:"]
        lines += [f"    default: '{self.default}'", "    versions:"]
        for name, one in self.versions.items():
            artifact = one.path if one.path is not None else f"m-{name}.joblib"
            declared = one.sha256 or (sha256(one.content).hexdigest() if one.content is not None else None)
            digest = f", sha256: '{declared}'" if declared is not None else ""
            lines.append(f"      '{name}': {{artifact: {artifact}{digest}}}")
        return "\n".join(lines).encode()

    def empty(self) -> None:
        """Let the mount be there and hold nothing."""
        for path in self.mount.iterdir():
            if path.is_symlink() or path.is_file():
                path.unlink()
            else:
                shutil.rmtree(path)

    @contextmanager
    def unmounted(self) -> Iterator[None]:
        """Put an empty folder in the place of the mount while the body runs."""
        away = self.mount.with_name("unmounted")
        self.mount.rename(away)
        self.mount.mkdir()
        try:
            yield
        finally:
            self.mount.rmdir()
            away.rename(self.mount)

    # the server

    @contextmanager
    def served(self) -> Iterator[None]:
        """Serve the folder while the body runs. Raises ProcessFailed."""
        try:
            self._start()
            self.wait(self._is_ready, "the first models to be ready")
            yield
            assert self._server is not None
            try:
                self._server.stop()
            except ProcessFailed as error:
                self.restarts.append(f"at the end: {error}")
        finally:
            if self._asking is not None:
                self._asking.close()
            if self._server is not None:
                self._server.kill()

    def _start(self) -> None:
        command = [sys.executable, "-m", "model_manager", "serve", "--models", str(self.mount), "--host", "127.0.0.1"]
        ports = ["--port", str(self._port), "--admin-port", str(self._admin_port)]
        folders = ["--artifact-roots", str(self.elsewhere)]
        options = [*ports, *folders, "--log-format", "json", "--poll-interval-s", "1", *self._flags]
        self._server = Server("the server", [*command, *options], environment=without_server_settings())

    def revive(self, why: str) -> bool:
        """Start the server again if it has ended, as a kubelet would; says whether it had."""
        assert self._server is not None
        code = self._server.popen.poll()
        if code is None:
            return False
        self.restarts.append(f"{why}: exit code {code}")
        self._server.kill()
        self._start()
        return True

    def replace(self, why: str) -> None:
        """End a server that does not go on, and start another, as a liveness probe would."""
        assert self._server is not None
        self._server.kill()
        self.restarts.append(f"{why}: stuck")
        self._start()

    def wait(self, condition: Callable[[], Any], what: str, *, limit_s: float = LIMIT_S) -> Any:
        """Return the first true value of a condition. Raises Stuck, or ProcessFailed when the server has ended."""
        limit = Limit(limit_s)
        while True:
            assert self._server is not None
            self._server.check()
            with contextlib.suppress(OSError, HTTPException):
                if value := condition():
                    return value
            if limit.passed():
                raise Stuck(f"waited {limit.so_far:.0f} s for {what}")
            time.sleep(_PAUSE_S)

    def _is_ready(self) -> bool:
        assert self._server is not None
        return self._server.is_ready()

    # what it says

    def answers(self, version: str) -> bool:
        """Whether this version answers a request that names none."""
        return self.ask() == version

    def ask(self, pinned: str = "") -> str:
        """Ask for one row, and return the version that answers, if it does; a wrong value is none."""
        if self._asking is None:
            self._asking = HTTPConnection("127.0.0.1", self._port, timeout=20)
        path = f"/v1/models/{CHANGING}{f'/versions/{pinned}' if pinned else ''}:predict"
        body = json.dumps({"instances": [[0.1] * WIDTH]})
        try:
            self._asking.request("POST", path, body, {"content-type": "application/json"})
            response = self._asking.getresponse()
            answer, version = response.read(), response.headers.get("x-model-version", "")
        except (OSError, HTTPException):
            self._asking.close()
            self._asking = None
            raise
        return version if response.status == 200 and json.loads(answer)["predictions"] == [float(version)] else ""

    def index(self) -> Mapping[str, str]:
        """The states of the changing model's versions."""
        rows = json.loads(ask(f"http://127.0.0.1:{self._port}/v2/repository/index", b"").body)
        return {row["version"]: row["state"] for row in rows if row["name"] == CHANGING}

    def is_settled(self) -> bool:
        """Whether every version is as fast as it will be."""
        return is_settled(f"http://127.0.0.1:{self._port}")

    def refusals(self) -> float:
        """How often the folder could not be used so far."""
        text = ask(f"http://127.0.0.1:{self._admin_port}/metrics").body.decode()
        lines = [line for line in text.splitlines() if line.startswith("model_manager_source_failures_total")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def recoveries(self) -> int:
        """How often the folder could be used again."""
        assert self._server is not None
        return sum("can be used again" in line for line in self._server.log)

    def traffic(self, log: Path) -> Process:
        """Start the traffic, and wait until it is there; it ends when it is stopped."""
        traffic = Process(
            "the traffic",
            [sys.executable, "-m", "loadtests.chaos.traffic", "127.0.0.1", str(self._port), str(log)],
            environment=without_server_settings(),
        )
        with traffic.killed_if_in_vain():
            traffic.wait_for(lambda: log.exists() and log.stat().st_size > 0, "to ask")
        return traffic


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
