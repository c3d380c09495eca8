"""Reload a model over and over under a running server, as large as people's are, and see that it grows no larger."""

import io
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor

from tests.live import LiveServer, live_server, wait_until
from tests.models import put

SETTLED = 5
"""After so many reloads every thread has its buffers, and every library what it keeps."""
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(3000, 10)), RANDOM.normal(size=3000)
MANY, THEIRS = RANDOM.normal(size=(60_000, 10)), RANDOM.normal(size=60_000)


def resident_mb(server: LiveServer) -> float:
    """The resident memory of the server's process."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("estimator", "compress", "settings", "reloads"),
    [
        (RandomForestRegressor(30, random_state=0), 0, {}, 25),
        (KNeighborsRegressor(), 1, {"compile": "off"}, 40),
    ],
    ids=["compiled", "compressed"],
)
def test_reloading_a_model_of_eight_megabytes_takes_no_more_memory(
    tmp_path: Path, estimator: Any, compress: int, settings: dict[str, Any], reloads: int
) -> None:
    estimator.fit(*((X, Y) if isinstance(estimator, RandomForestRegressor) else (MANY, THEIRS)))

    def publish(number: int) -> None:
        estimator.number_ = number  # other bytes each time
        file = io.BytesIO()
        joblib.dump(estimator, file, compress=compress)
        assert len(file.getvalue()) > 4_000_000
        if number:
            beside = tmp_path / "m" / "1" / "model.new"
            beside.write_bytes(file.getvalue())
            beside.rename(tmp_path / "m" / "1" / "model.joblib")
        else:
            put(tmp_path, "m", "1", file.getvalue())

    publish(0)
    with live_server(tmp_path, poll_interval_s=60, **settings) as server:

        def told(text: str, times: int) -> None:
            wait_until(lambda: len(server.logged(text)) == times, f"{text!r} to be said {times} times")

        after: list[float] = []
        for number in range(reloads + 1):
            if number:
                publish(number)
                told("m/1 is gone", number)
            if not settings:
                told("m/1 is answered", number + 1)
            assert server.predict("m", [[0.1] * 10]).status_code == 200
            after.append(resident_mb(server))
        assert after[-1] < 1.2 * after[SETTLED], after
