"""A real Prometheus that remembers what a test wrote: promtool makes its blocks from OpenMetrics text.

No waiting for scrapes, and a rollout that went wrong in any way that can be written down.
"""

import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.live import wait_until
from tests.parts import program_of_debian

NOW = 1_793_631_600  # 2026-11-02 15:00:00 UTC
SCRAPES = range(NOW - 1800, NOW + 1, 15)


class History:
    """Series, as half an hour of scrapes saw them until NOW."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, labels: Mapping[str, str], samples: Iterable[tuple[int, float]]) -> None:
        """Add one series: Unix times in ascending order, and values."""
        told = ",".join(f'{label}="{value}"' for label, value in labels.items())
        self._lines.extend(f"{name}{{{told}}} {value} {time}\n" for time, value in samples)

    def counted(self, name: str, labels: Mapping[str, str], before: float, within: float, window_s: int = 600) -> None:
        """Add a counter that grew evenly: `before` the window, and `within` it."""
        start = NOW - window_s
        self.add(name, labels, ((time, before + within * max(0, time - start) // window_s) for time in SCRAPES))

    @contextmanager
    def served(self, folder: Path) -> Iterator[str]:
        """The address of a Prometheus that has all this; skips the test, or fails it, when there is none."""
        promtool, prometheus = (program_of_debian(name, "prometheus") for name in ("promtool", "prometheus"))
        text, data, config = folder / "history.txt", folder / "data", folder / "prometheus.yml"
        text.write_text("".join([*self._lines, "# EOF\n"]))
        config.write_text("{}")
        command: list[str | Path] = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, data]
        subprocess.run(command, check=True, capture_output=True, timeout=50)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        flags = [f"--web.listen-address={address}", "--storage.tsdb.retention.time=100y", "--log.level=error"]
        process = subprocess.Popen(
            [prometheus, f"--config.file={config}", f"--storage.tsdb.path={data}", *flags], stderr=subprocess.PIPE
        )
        try:
            wait_until(lambda: _is_ready(f"http://{address}/-/ready") or process.poll() is not None, "Prometheus")
            assert process.poll() is None, process.communicate()
            yield f"http://{address}"
        finally:
            process.terminate()
            process.communicate(timeout=30)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
