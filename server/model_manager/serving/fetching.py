"""Bring a remote artifact here without holding anybody up: each fetch has a thread of its own.

In the flow: loader → **fetching** → repository. A store that hangs keeps its thread until its time is up; other
versions are loaded meanwhile, and the process ends without it.
"""

import asyncio
import threading
from contextlib import suppress

from model_manager.repository.artifact import Fetched
from model_manager.repository.policy import Policy
from model_manager.repository.remote_artifacts import RemoteArtifacts
from model_manager.repository.wanted import WantedVersion


async def fetch(remote: RemoteArtifacts, wanted: WantedVersion, policy: Policy) -> tuple[WantedVersion, Fetched]:
    """See RemoteArtifacts.fetch. Cancelled, it leaves its thread to end by itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[WantedVersion, Fetched]] = loop.create_future()
    stop = threading.Event()

    def run() -> None:
        found: tuple[WantedVersion, Fetched] | BaseException
        try:
            found = remote.fetch(wanted, policy, stop)
        except BaseException as error:
            found = error
        with suppress(RuntimeError):  # the loop is closed: so is the process, in a moment
            loop.call_soon_threadsafe(deliver, found)

    def deliver(found: tuple[WantedVersion, Fetched] | BaseException) -> None:
        if future.done():
            if not isinstance(found, BaseException):
                found[1].file.close()
        elif isinstance(found, BaseException):
            future.set_exception(found)
        else:
            future.set_result(found)

    threading.Thread(target=run, name=f"fetch {wanted.id}", daemon=True).start()
    try:
        return await future
    finally:
        stop.set()
