"""What one process does about deaths: it notes what it calls, and heeds what was learned from the deaths before it.

In the flow: a start → **attribution** → loader, which asks it about every version that it is to load.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final

from model_manager.errors import LoadFailed
from model_manager.repository.wanted import WantedVersion
from model_manager.serving.journal import Journal, Noted, Turns
from model_manager.serving.quarantine import Quarantine, kept

logger = logging.getLogger(__name__)

_ENDED_COMPILING: Final = "the server ended while it was compiled, so it is not compiled again for a week"


class Attribution:
    """The journal and the quarantine of one process; without a state folder it notes and refuses nothing.

    `ends`: how many processes ended without being asked to, by how, where it is this process that tells.
    """

    def __init__(
        self, quarantine: Quarantine | None = None, *, worker: int = 0, ends: Mapping[str, int] | None = None
    ) -> None:
        self.ends = ends or {}
        self._quarantine = quarantine
        self._journal = _begin(quarantine.journal(worker)) if quarantine is not None else None
        self._probation = quarantine.probation() if quarantine is not None else {}
        self._not_compiled = quarantine.not_to_be_compiled() if quarantine is not None else set()
        self._turns = Turns()

    def admit(self, wanted: WantedVersion) -> Noted:
        """Begin to note what is done with a version. Raises LoadFailed("quarantined") for one that ends the server."""
        digest = wanted.digest or ""
        if self._quarantine is None:
            return Noted(None, (digest, *wanted.id))
        condemned = self._quarantine.verdict(digest)
        if condemned is not None:
            file = self._quarantine.file_of(digest)
            raise LoadFailed("quarantined", f"{condemned}; publish another artifact, or remove {file} to try this one")
        until = self._probation.get(digest, 0.0)
        suspected = until > time()
        if suspected:
            shown = datetime.fromtimestamp(until, UTC).strftime("%H:%M:%S UTC")
            logger.warning(
                "%s ran when the server ended, and others too: until %s they compute one at a time, to tell them apart",
                wanted.id,
                shown,
            )
        return Noted(
            self._journal,
            (digest, *wanted.id),
            turns=self._turns if suspected and self._journal is not None else None,
            until=until,
            never_compiled=_ENDED_COMPILING if digest in self._not_compiled else "",
        )

    def end(self) -> None:
        """Say that the process stops because it was asked to: nobody is suspected of what comes now."""
        if self._journal is not None:
            self._journal.end()


@contextmanager
def attributed(state: str) -> Iterator[Attribution]:
    """What a process on its own does about deaths while the body runs; `state`: its folder, or empty.

    A journal that the process before left there is looked at first.
    """
    if not state:
        yield Attribution()
        return
    with kept(Path(state)) as quarantine:
        yield Attribution(quarantine, ends=quarantine.ends if quarantine is not None else None)


def _begin(path: Path) -> Journal | None:
    try:
        return Journal(path)
    except OSError as error:
        logger.error("%s cannot be kept, the server goes on without: %s", path, error.strerror or error)
        return None
