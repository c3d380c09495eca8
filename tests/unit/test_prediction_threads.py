"""server/model_manager/serving/prediction_threads.py: a limit that models which hang, or are slow, cannot use up."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest
import sklearn
from model_manager.serving.giving_up import (
    MOST_HUNG,
    WINDOW_S,
    DoesNotReturn,
    GivenUp,
    Hangs,
    overdue_after_s,
    was_given_up,
)
from model_manager.serving.prediction_threads import BEAT_S, Lane, PredictionThreads

from tools.patience import Limit, wait_until

OVERDUE_S = 1.0

# What measures coverage runs code between any two lines of a thread, where GivenUp may then come: with a lock held.
pytestmark = pytest.mark.uncovered


class Held:
    """A call that a test holds."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> str:
        self.thread = threading.current_thread()
        self.entered.set()
        limit = Limit()
        while not self.gate.wait(limit.left()):
            assert not limit.passed(), "the test never released it"
        return "came back"


class Threads:
    """A pool whose time is its beats, and calls in it that are held."""

    def __init__(self, most: int) -> None:
        self.pool = PredictionThreads(most)
        self.held: list[Held] = []

    def lane(self, name: str) -> Lane:
        return self.pool.lane(name, OVERDUE_S)

    def hold(self, name: str) -> tuple[Held, Future[str]]:
        """Submit a call that is held, to a lane of its own."""
        held = Held()
        self.held.append(held)
        return held, self.lane(name).submit(held)

    def entered(self) -> int:
        return sum(one.entered.is_set() for one in self.held)

    def pass_(self, seconds: float) -> None:
        """Let so much time pass, by beats."""
        for _ in range(round(seconds / BEAT_S) + 1):
            self.pool.beat()


@pytest.fixture
def one() -> Iterator[Threads]:
    threads = Threads(1)
    yield threads
    for held in threads.held:
        held.gate.set()
    threads.pool.shutdown()


def answer() -> str:
    return "quick"


def test_a_thread_that_is_held_is_lent_to_others_and_ends_when_it_comes_back(one: Threads) -> None:
    held, future = one.hold("slow")
    assert held.entered.wait(30)
    quick = one.lane("quick").submit(answer)
    assert not quick.done()
    one.pass_(0.1)
    assert quick.result(30) == "quick"
    held.gate.set()
    assert future.result(30) == "came back"
    assert held.thread is not None
    held.thread.join(30)  # one is enough
    assert not held.thread.is_alive()
    assert one.lane("quick").submit(answer).result(30) == "quick"
    assert one.pool.given_up == 0


def test_no_more_are_lent_than_a_few(one: Threads) -> None:
    for number in range(8):
        one.hold(f"m{number}")
    for _ in range(20):
        one.pass_(0.1)
        if one.entered() == 5:
            break
        wait_until(lambda: one.pool._idle == 0, "the threads to be busy")
    wait_until(lambda: one.entered() == 5, "four to be lent beside the one")
    assert one.pool.lost() == ""
    quick = one.lane("quick").submit(answer)
    one.pass_(0.3)
    assert not quick.done()
    for held in one.held:
        held.gate.set()
    assert quick.result(30) == "quick"


def test_what_is_overdue_is_given_up_with_its_thread_and_may_come_back_late(one: Threads) -> None:
    held, future = one.hold("iris/1")
    assert held.entered.wait(30)
    one.pass_(OVERDUE_S)
    with pytest.raises(DoesNotReturn, match=r"on predict_\d+, at .*__call__ \(test_prediction_threads.py:"):
        future.result(0)
    assert (one.pool.given_up, one.pool.unfinished()) == (1, ["iris/1"])
    assert one.lane("iris/1").submit(answer).result(30) == "quick"
    held.gate.set()
    wait_until(lambda: one.pool.given_up == 0, "its thread to end")
    assert one.pool.unfinished() == []
    one.pass_(OVERDUE_S)
    assert one.lane("iris/1").submit(answer).result(30) == "quick"
    assert (one.pool._threads, one.pool._lent) == (1, 0)


def test_a_loop_of_python_that_is_given_up_ends(one: Threads) -> None:
    entered = threading.Event()

    def spin() -> None:
        entered.set()
        while True:
            pass

    future = one.lane("m").submit(spin)
    assert entered.wait(30)
    one.pass_(OVERDUE_S)
    assert isinstance(future.exception(0), DoesNotReturn)
    wait_until(lambda: one.pool.given_up == 0, "the loop to end")


def test_what_is_late_by_the_clock_alone_is_not_given_up(one: Threads) -> None:
    held, future = one.hold("m")
    assert held.entered.wait(30)
    one.pass_(OVERDUE_S - 2 * BEAT_S)  # and then the process is suspended for an hour
    one.pool.beat()
    held.gate.set()
    assert future.result(30) == "came back"


def test_all_threads_being_lost_is_said(one: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_manager.serving.prediction_threads._MOST_GIVEN_UP", 2)
    for number in range(7):
        one.hold(f"m{number}")

    def all_entered() -> bool:
        one.pass_(0.1)
        return one.entered() == 7

    wait_until(all_entered, "all to be held")
    assert one.pool.lost() == ""
    one.pass_(OVERDUE_S)
    assert one.pool.lost() == "all 7 prediction threads are held by predictions that do not return"
    assert one.pool.given_up == 2
    one.held[-1].gate.set()
    wait_until(lambda: not one.pool.lost(), "one to come back")


def test_what_waits_is_cancelled_when_the_threads_end(one: Threads) -> None:
    held, running = one.hold("m")
    assert held.entered.wait(30)
    waiting = one.lane("other").submit(answer)
    one.pool.shutdown()
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="were ended"):
        one.lane("m").submit(answer)
    held.gate.set()
    assert running.result(30) == "came back"
    assert held.thread is not None
    held.thread.join(30)


def test_what_a_call_raises_is_its_own(one: Threads) -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        one.lane("m").submit(leave).result(30)
    assert one.lane("m").submit(answer).result(30) == "quick"
    assert one.pool._threads == 1


def test_settings_of_libraries_are_the_same_for_the_next_call(one: Threads, caplog: pytest.LogCaptureFixture) -> None:
    def change() -> int:
        sklearn.set_config(transform_output="pandas")
        np.seterr(all="raise")
        return threading.get_ident()

    def look() -> tuple[object, object, int]:
        return sklearn.get_config()["transform_output"], np.geterr()["over"], threading.get_ident()

    thread = one.lane("iris/1").submit(change).result(30)
    assert one.lane("m").submit(look).result(30) == ("default", "warn", thread)
    (told,) = caplog.records
    assert told.message == "iris/1 changed settings of scikit-learn in predict; restored"
    assert vars(told)["changed"] == "transform_output"


def test_three_within_ten_minutes_are_too_many_and_three_a_day_are_not() -> None:
    rare, often = Hangs(), Hangs()
    assert [bool(rare.add(day * 86_400.0, None)) for day in range(10)] == [False] * 10
    assert [bool(often.add(second, None)) for second in (0.0, 1.0, WINDOW_S)] == [False, False, True]


def test_threads_that_never_come_back_are_too_many_however_rare_they_are() -> None:
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait, daemon=True) for _ in range(MOST_HUNG)]
    hangs = Hangs()
    try:
        for thread in threads:
            thread.start()
        told = [hangs.add(day * 86_400.0, thread) for day, thread in enumerate(threads)]
        assert [bool(why) for why in told] == [False, False, True]
        assert "still hold a thread" in told[-1]
    finally:
        gate.set()


@pytest.mark.parametrize(("timeout_s", "overdue_s"), [(0.2, 2.0), (5.0, 15.0), (1.0, 3.0)])
def test_when_a_prediction_is_overdue(timeout_s: float, overdue_s: float) -> None:
    assert overdue_after_s(timeout_s) == overdue_s


def raised(*steps: Callable[[BaseException], BaseException]) -> BaseException:
    error: BaseException = GivenUp()
    for step in steps:
        error = step(error)
    return error


def test_what_was_given_up_is_known_through_what_models_make_of_it() -> None:
    def wrap(error: BaseException) -> BaseException:
        try:
            raise ValueError("of the model") from error
        except ValueError as wrapped:
            return wrapped

    def shadow(error: BaseException) -> BaseException:
        try:
            try:
                raise error
            except BaseException:
                raise KeyError("another") from None
        except KeyError as other:
            return other

    for error in (raised(), raised(wrap), raised(shadow), raised(shadow, wrap)):
        assert was_given_up(error)
    assert not was_given_up(ValueError())
    circle, other = ValueError(), KeyError()
    circle.__context__, other.__context__ = other, circle
    assert not was_given_up(circle)
