"""One native thread per prediction: parallelism comes from the server's own threads, never from BLAS or OpenMP.

Called once in every thread that predicts (as a thread pool's initializer, and on the event loop's own thread).
"""

from typing import Final

import sklearn  # also loads the BLAS and OpenMP libraries that are to be limited
from threadpoolctl import threadpool_limits

_SETTINGS: Final = sklearn.get_config()


def limit_native_threads() -> None:
    """Hold BLAS and OpenMP to one thread for calls made from this thread.

    OpenMP's limit is the calling thread's own, hence once per thread. BLAS's is the process's: threadpoolctl lets the
    first thread that asks decide for as long as it lives, so nothing else in this process may ask for more.
    """
    # Left open on purpose: the limit stays for the life of the thread.
    threadpool_limits(limits=1)


def restore_library_settings() -> list[str]:
    """Undo what a model changed of scikit-learn's settings on this thread; returns their names.

    They are each thread's own, and a thread predicts for one model after the other.
    """
    now = sklearn.get_config()
    if now == _SETTINGS:
        return []
    sklearn.set_config(**_SETTINGS)
    return [name for name, value in now.items() if value != _SETTINGS[name]]
