"""Bring one version from wanted to servable: fetch, load, prove. Blocking steps run on loader threads.

In the flow: manager → **loader** → repository (bytes) and inference (estimator, signature, proof) → servable.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

from server.repository.artifact import open_artifact
from server.repository.lifecycle import State
from server.repository.metadata import Metadata, parse_metadata
from server.repository.wanted import WantedVersion
from server.serving.servable import Servable
from server.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads versions.

    `loading` runs what blocks while a version is loaded; `predicting` is the shared limit on batches computed off the
    loop. `max_rows` bounds one request; `timeout_s` holds where the manifest sets none.
    """

    metrics: Metrics
    loading: Executor
    predicting: Executor
    library_mismatch: Literal["refuse", "warn"]
    max_rows: int
    timeout_s: float

    async def load(self, wanted: WantedVersion, *, entered: Callable[[State], None]) -> Servable:
        """Return the servable of a wanted version, calling `entered` with each state on the way.

        Raises LoadFailed with the reason. Cancellation abandons the step that runs; its thread finishes on its own.
        """
        loop = asyncio.get_running_loop()
        entered(State.FETCHING)
        artifact = await loop.run_in_executor(self.loading, open_artifact, wanted)
        entered(State.LOADING)
        metadata = parse_metadata(wanted.metadata) if wanted.metadata is not None else Metadata()
        loaded = await loop.run_in_executor(self.loading, self._unpickle, artifact)
        entered(State.PROVING)
        predictor, inline_rows = await loop.run_in_executor(self.loading, self._prove, loaded, metadata)
        return self._servable(wanted, metadata, loaded, predictor, inline_rows)
