"""The figures of convergence: generations wanted and in force, and the lag between them."""

import time

from model_manager.metrics.live import Convergence
from model_manager.serving.progress import Progress
from model_manager.serving.views import Standing

THERE = Standing(settled=True, in_force=True, ended=True)
FAILED = Standing(settled=True, in_force=False, ended=True)
LOADING = Standing(settled=False, in_force=False, ended=False)


M, A, B = ("m", "1"), ("a", "1"), ("b", "1")


def test_a_wanted_state_that_is_reached_is_in_force_without_lag() -> None:
    moment = [100.0]
    progress = Progress(lambda: moment[0])
    assert progress.now() == Convergence(0, 0, 0.0, 0.0)
    progress.wanted_another([M])
    progress.note({M: LOADING})
    moment[0] += 3
    now = progress.now()
    assert (now.wanted_generation, now.in_force_generation, now.lag_s, now.last_timestamp) == (1, 0, 3.0, 0.0)
    progress.note({M: THERE})
    now = progress.now()
    assert (now.wanted_generation, now.in_force_generation, now.lag_s) == (1, 1, 0.0)
    assert abs(now.last_timestamp - time.time()) < 60


def test_the_lag_counts_from_when_the_wanted_state_was_first_missed_however_often_it_changes() -> None:
    moment = [0.0]
    progress = Progress(lambda: moment[0])
    progress.wanted_another([M])
    progress.note({M: THERE})
    before = time.time()
    for _ in range(3):
        progress.wanted_another([M])
        progress.note({M: LOADING})
        moment[0] += 10
    now = progress.now()
    assert (now.wanted_generation, now.in_force_generation, now.lag_s) == (4, 1, 30.0)
    assert before <= now.last_timestamp <= time.time()


def test_a_state_is_in_force_once_every_model_is_whichever_came_last() -> None:
    progress = Progress(lambda: 0.0)
    progress.wanted_another([A, B])
    progress.note({A: LOADING, B: LOADING})
    for model in (A, B):
        assert progress.now().in_force_generation == 0
        progress.note({model: THERE})
    assert progress.now().in_force_generation == 1
    progress.wanted_another([A, B])
    progress.note({A: THERE, B: FAILED})
    assert progress.now().in_force_generation == 1


def test_the_first_state_is_settled_once_no_model_is_on_its_way() -> None:
    progress = Progress(lambda: 0.0)
    assert not progress.settled
    progress.wanted_another([A, B])
    progress.note({A: LOADING, B: LOADING})
    progress.note({A: THERE})
    assert not progress.settled
    progress.note({B: FAILED})
    assert progress.settled


def test_nothing_wanted_is_settled_and_in_force_at_once() -> None:
    progress = Progress(lambda: 0.0)
    progress.wanted_another([])
    assert progress.settled
    assert progress.now().in_force_generation == 1


def test_what_was_not_looked_at_yet_is_neither_settled_nor_in_force() -> None:
    progress = Progress(lambda: 0.0)
    progress.wanted_another([A, B])
    progress.note({A: THERE})
    assert not progress.settled
    assert progress.now().in_force_generation == 0
    progress.note({B: THERE})
    progress.wanted_another([B])
    assert progress.now().in_force_generation == 1
    progress.note({B: THERE})
    assert progress.now().in_force_generation == 2
