"""server/model_manager/inference/threads.py: BLAS and OpenMP are held to one thread where predictions run."""

from concurrent.futures import ThreadPoolExecutor

from model_manager.inference.threads import limit_native_threads
from threadpoolctl import threadpool_info, threadpool_limits


def native_threads(api: str) -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == api}


def test_a_pool_with_this_initializer_predicts_on_one_native_thread() -> None:
    with threadpool_limits(limits=2, user_api="openmp"):
        with ThreadPoolExecutor(1, initializer=limit_native_threads) as pool:
            assert pool.submit(native_threads, "openmp").result() == {1}
            assert pool.submit(native_threads, "blas").result() == {1}
        # OpenMP's limit is each thread's own: a thread that did not ask is not limited.
        assert native_threads("openmp") == {2}
