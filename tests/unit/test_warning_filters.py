"""Warnings are dropped for the thread that is inside a block and nobody else, whatever others do to the filters."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from model_manager.inference.warning_filters import warnings_dropped
from sklearn.utils.parallel import Parallel, delayed


def fate(category: type[Warning] = UserWarning) -> str:
    """What becomes of a warning here and now; pytest makes all of them errors."""
    try:
        warnings.warn("news", category, stacklevel=1)
    except Warning:
        return "raised"
    return "dropped"


def test_warnings_are_dropped_inside_the_block_on_its_thread_only() -> None:
    with ThreadPoolExecutor(1) as other:
        assert fate() == "raised"
        with warnings_dropped():
            assert fate() == "dropped"
            assert other.submit(fate).result() == "raised"
            with warnings_dropped():
                assert fate() == "dropped"
            assert fate() == "dropped"
        assert fate() == "raised"


@pytest.mark.parametrize("category", [Warning, FutureWarning, DeprecationWarning, ResourceWarning])
def test_warnings_of_every_category_are_dropped(category: type[Warning]) -> None:
    with warnings_dropped():
        assert fate(category) == "dropped"


def test_what_numpy_warns_of_in_c_is_dropped_too() -> None:
    with warnings_dropped():
        assert np.isinf(np.float64(1) / np.float64(0))
    with pytest.raises(RuntimeWarning):
        np.float64(1) / np.float64(0)


def test_what_the_parts_of_an_ensemble_warn_of_is_dropped_too() -> None:
    with warnings_dropped():
        assert Parallel(1)(delayed(fate)() for _ in range(2)) == ["dropped"] * 2
    assert Parallel(1)(delayed(fate)() for _ in range(2)) == ["raised"] * 2


def test_blocks_of_two_threads_do_not_wait_for_each_other() -> None:
    inside = threading.Barrier(2, timeout=20)

    def work() -> str:
        with warnings_dropped():
            inside.wait()  # both are inside at the same time, or the barrier breaks
            return fate()

    with ThreadPoolExecutor(2) as pool:
        assert [future.result() for future in [pool.submit(work) for _ in range(2)]] == ["dropped"] * 2


def test_a_filter_that_others_put_in_front_does_not_count_in_the_next_block() -> None:
    with warnings_dropped():
        warnings.simplefilter("error")  # as a model's module may do while it is imported
    with warnings_dropped():
        assert fate() == "dropped"


def test_catch_warnings_works_as_ever_around_a_block_and_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with warnings_dropped():
            assert fate() == "dropped"
        assert fate() == "dropped"
    assert fate() == "raised"
    with warnings_dropped():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fate() == "raised"
        assert fate() == "dropped"


def test_the_list_of_filters_does_not_grow() -> None:
    def use() -> int:
        warnings.simplefilter("default")
        with warnings_dropped():
            pass
        return len(warnings.filters)

    first = use()
    assert {use() for _ in range(50)} == {first}
