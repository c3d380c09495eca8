"""The figures of convergence: generations wanted and in force, and the lag between them."""

import time

from model_manager.metrics.live import Convergence
from model_manager.serving.progress import Progress


def test_a_wanted_state_that_is_reached_is_in_force_without_lag() -> None:
    moment = [100.0]
    progress = Progress(lambda: moment[0])
    assert progress.now() == Convergence(0, 0, 0.0, 0.0)
    progress.wanted_another()
    progress.note(in_force=False)
    moment[0] += 3
    now = progress.now()
    assert (now.wanted_generation, now.in_force_generation, now.lag_s, now.last_timestamp) == (1, 0, 3.0, 0.0)
    progress.note(in_force=True)
    now = progress.now()
    assert (now.wanted_generation, now.in_force_generation, now.lag_s) == (1, 1, 0.0)
    assert abs(now.last_timestamp - time.time()) < 60


def test_the_lag_counts_from_when_the_wanted_state_was_first_missed_however_often_it_changes() -> None:
    moment = [0.0]
    progress = Progress(lambda: moment[0])
    progress.wanted_another()
    progress.note(in_force=True)
    before = time.time()
    for _ in range(3):
        progress.wanted_another()
        progress.note(in_force=False)
        moment[0] += 10
    now = progress.now()
    assert (now.wanted_generation, now.in_force_generation, now.lag_s) == (4, 1, 30.0)
    assert before <= now.last_timestamp <= time.time()
