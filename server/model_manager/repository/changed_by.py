"""changed-by.json beside models.yaml: who made the wanted state what it is, as the command that wrote it says.

Place in the flow: read by source with the manifest, for the ledger; nothing that serves depends on it. A mounted
ConfigMap shows neither its annotations nor its managed fields, so who it was has to be a key of it.
"""

import logging
import os
from typing import Annotated, Final

import msgspec

from model_manager.errors import LoadFailed
from model_manager.repository.regular_files import Files, Limit

logger = logging.getLogger(__name__)

CHANGED_BY: Final = "changed-by.json"
_LIMIT: Final = Limit(64 * 2**10, "it only says who, when and which commit")

_Text = Annotated[str, msgspec.Meta(max_length=300)]


class ChangedBy(msgspec.Struct, frozen=True):
    """Who changed the wanted state, when, and the commit it comes from; of which manifest (SHA-256), if it says so."""

    by: _Text
    at: _Text | None = None
    commit: _Text | None = None
    manifest: _Text | None = None


def read_changed_by(folder: str, files: Files, *, manifest: str, warned: set[str]) -> ChangedBy | None:
    """Read who made the manifest with this digest; None where nobody says.

    A file that cannot be read, or is about another manifest, says nothing, and the log tells why, once: `warned`
    remembers. Raises OSError where the folder went away meanwhile.
    """
    path = os.path.join(folder, CHANGED_BY)
    try:
        said = msgspec.json.decode(files.read(path, _LIMIT), type=ChangedBy)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (LoadFailed, OSError, msgspec.DecodeError, RecursionError) as error:
        problem = f"{CHANGED_BY} says nothing of who changed models.yaml: {error}"
    else:
        if said.manifest in (None, manifest):
            return said
        problem = f"{CHANGED_BY} is about another models.yaml ({said.manifest}), not {manifest}"
    if problem not in warned:
        warned.add(problem)
        logger.warning("%s", problem)
    return None
