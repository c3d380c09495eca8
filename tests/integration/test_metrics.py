"""What a scrape of a real server shows while its versions change and its workers differ."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from model_manager import write_package
from sklearn.dummy import DummyRegressor

from tests.live import LiveServer, live_server, wait_until

ROWS = [[float(number)] for number in range(40)]
BOUND = re.compile(r'^model_manager_prediction_value_bucket\{.*le="([^"]+)"\} (\d+)$', re.MULTILINE)


def publish(folder: Path, answers: list[float]) -> None:
    """Put an artifact that answers the mean of these, with them for a baseline, in place of m/1."""
    estimator = DummyRegressor().fit(ROWS, answers)
    sample = np.array(ROWS)
    made = write_package(estimator, name="m", version="1", repository=folder.with_name("made"), sample=sample)
    if (folder / "m" / "1").exists():
        (folder / "m" / "1").rename(folder.with_name("old"))
    (folder / "m").mkdir(exist_ok=True)
    shutil.move(made, folder / "m" / "1")


def buckets(server: LiveServer) -> dict[str, int]:
    return {bound: int(count) for bound, count in BOUND.findall(server.admin.get("/metrics").text)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_replaced_version_is_counted_by_the_bounds_of_its_own_baseline(tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    publish(folder, [0.0, 2.0] * 20)
    with live_server(folder, workers=workers, compile="off", poll_interval_s=0.1) as server:
        assert server.predict("m", [[1.0]]).json() == {"predictions": [1.0]}
        before = buckets(server)
        assert sum(before.values()) > 0
        publish(folder, [100.0, 300.0] * 20)
        wait_until(lambda: server.predict("m", [[1.0]]).json() == {"predictions": [200.0]}, "the replacement to serve")
        after = buckets(server)  # each bound once, whatever each worker counted last
        assert set(before) & set(after) == {"+Inf"}
        text = server.admin.get("/metrics").text
        series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
        assert len(series) == len(set(series))
