"""Put a changed manifest back into the file that it came from: whole, and only where nobody else wrote meanwhile.

Place in the flow: `promote`, `rollback`, `rollout` → changing, traffic_editing (the text) → **writing** → whole_files.
"""

from pathlib import Path

from model_manager.errors import ChangeRefused
from model_manager.manifests.holding import Holder
from model_manager.manifests.provenance import CHANGED_BY_FILE, ChangedBy
from model_manager.repository.whole_files import not_written, write_whole


def write_manifest(path: Path, read: bytes, holder: Holder, manifest: bytes, by: str | None) -> None:
    """Write the holder that was `read` from a file with another manifest, and who made the change.

    Who is written beside a manifest where somebody is named or was before, and into a ConfigMap always. Raises
    ChangeRefused where the file holds something else than what was read of it, or cannot be written.
    """
    change = ChangedBy.now(by)
    whole = holder.holding(manifest, change)
    beside = path.parent / CHANGED_BY_FILE
    if whole == manifest and (by is not None or beside.exists()):
        # First of the two: a server that sees the new manifest finds who made it.
        replace_file(beside, change.file(manifest).encode(), before=_content(beside))
    replace_file(path, whole, before=read)


def replace_file(path: Path, content: bytes, *, before: bytes | None) -> None:
    """Write a file whole. `before` is what was read of it, None where it was not there.

    Raises ChangeRefused where it holds something else now, or cannot be written.
    """

    def unchanged() -> None:
        if _content(path) != before:
            raise ChangeRefused(f"{path} was changed by somebody else meanwhile; nothing was written, run it again")

    try:
        write_whole(path, content, just_before=unchanged)
    except OSError as error:
        raise ChangeRefused(f"{path} cannot be written: {not_written(error)}") from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
