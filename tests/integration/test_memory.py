"""Reload a model over and over under a running server, as large as people's are, and see that it grows no larger."""

import io
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from tests.live import live_server, wait_until
from tests.models import put
from tools.memory import resident_mb

SETTLED, RELOADS = 5, 20
"""After so many reloads every thread has its buffers, and every library what it keeps; and after so many it is told."""


@pytest.fixture(scope="module")
def tree() -> Any:
    """A large model that is quick to load, to compile and to prove."""
    random = np.random.default_rng(0)
    return DecisionTreeRegressor(random_state=0).fit(random.normal(size=(60_000, 10)), random.normal(size=60_000))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("compress", "settings"),
    [(0, {}), (1, {"compile": "off"})],
    ids=["compiled", "compressed, not compiled"],
)
def test_reloading_a_model_of_eight_megabytes_takes_no_more_memory(
    tmp_path: Path, tree: Any, compress: int, settings: dict[str, Any]
) -> None:
    def publish(number: int) -> None:
        tree.number_ = number  # other bytes each time
        file = io.BytesIO()
        joblib.dump(tree, file, compress=compress)
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
        for number in range(RELOADS + 1):
            if number:
                publish(number)
                told("m/1 is gone", number)
            if not settings:
                told("m/1 is answered", number + 1)
            assert server.predict("m", [[0.1] * 10]).status_code == 200
            after.append(resident_mb(server.process.pid))
        assert after[-1] < 1.2 * after[SETTLED], after
