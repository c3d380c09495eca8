"""Follow the models folder: every change of what is wanted of it, and of what keeps it from being read.

In the flow: watch → **following** → source, on a thread of its own → manager.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from model_manager.errors import ConfigurationError, ManifestInvalid
from model_manager.metrics import Metrics
from model_manager.repository.source import Source
from model_manager.repository.wanted import ServableId, WantedModel, WantedState, changed_models
from model_manager.serving.folder_changes import changes

logger = logging.getLogger(__name__)

_MOST_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class News:
    """What a look at the folder brought.

    `wanted`: the state that is in force from now on, None before there was any. `changed`: the models in which it
    differs from the last one; None when it is that one. `problem`: why the folder cannot be used, if it cannot.
    """

    wanted: WantedState | None
    changed: list[str] | None
    problem: str


class Follower:
    """Follows one folder.

    `reading` is one thread that nothing else runs on, so that a change is seen however busy the loaders are.
    """

    def __init__(
        self,
        source: Source,
        metrics: Metrics,
        *,
        reading: Executor,
        poll_interval_s: float,
        changed: Callable[[WantedState], None] = lambda wanted: None,
    ) -> None:
        """`changed` is told, on the thread that reads, what is wanted from now on, before anybody acts on it."""
        self._source = source
        self._metrics = metrics
        self._reading = reading
        self._poll_interval_s = poll_interval_s
        self._changed = changed
        self._last = News(None, None, "")

    async def news(self) -> AsyncIterator[News]:
        """Yield what each look at the folder brought, for ever; on trouble the last good wanted state stays in force.

        Cancellation ends the watch; a look that is under way ends by itself, on its thread.
        """
        async for _ in changes(self._source.folder, poll_interval_s=self._poll_interval_s):
            news = await self._look()
            _tell(self._last, news)
            self._last = news
            yield news

    async def _look(self) -> News:
        loop, before = asyncio.get_running_loop(), self._last.wanted
        try:
            wanted, changed = await loop.run_in_executor(self._reading, self._read_and_compare, before)
        except ConfigurationError as error:
            reason = "manifest_invalid" if isinstance(error, ManifestInvalid) else "unreadable"
            self._metrics.source_failures.labels(reason).inc()
            return News(before, None, str(error))
        return News(wanted, changed if changed or before is None else None, "")

    def _read_and_compare(self, before: WantedState | None) -> tuple[WantedState, list[str]]:
        """Read the wanted state and name the models that changed: both take their time, the more models the longer."""
        wanted = self._source.read()
        changed = changed_models(before, wanted)
        if changed or before is None:
            self._changed(wanted)
        return wanted, changed


def _tell(last: News, news: News) -> None:
    """Log a problem of the folder once, and its end, and what is wanted of models from now on."""
    if news.problem != last.problem:
        if news.problem:
            logger.error("the models folder cannot be used, what is served stays: %s", news.problem)
        else:
            logger.info("the models folder can be used again")
    if news.wanted is not None and news.changed is not None:
        models = news.wanted.models
        there = [str(one.id) for name in news.changed if name in models for one in models[name].versions.values()]
        gone = [name for name in news.changed if name not in models]
        logger.info(
            "wanted: %s%s", ", ".join(there) or "nothing more", f"; no longer: {', '.join(gone)}" if gone else ""
        )
    if last.wanted is not None and news.wanted is not None and news.wanted.by_manifest and not last.wanted.by_manifest:
        _tell_manifest(last.wanted, news.wanted)


def _tell_manifest(folders: WantedState, manifest: WantedState) -> None:
    """Log that a manifest rules over the folders from now on, which unloads whatever it does not name."""
    gone = [id for name, model in folders.models.items() for id in _unnamed(model, manifest.models.get(name))]
    if not gone:
        logger.info("models.yaml was added to the models folder, and says from now on what is wanted")
        return
    more = f" and {len(gone) - _MOST_TOLD} more" if len(gone) > _MOST_TOLD else ""
    logger.warning(
        "models.yaml was added to the models folder, and what it does not name is unloaded: %d of the versions that "
        "were wanted, %s%s; name them in it to keep them",
        len(gone),
        ", ".join(map(str, gone[:_MOST_TOLD])),
        more,
    )


def _unnamed(before: WantedModel, after: WantedModel | None) -> list[ServableId]:
    named = after.versions if after is not None else {}
    return [one.id for version, one in before.versions.items() if version not in named]
