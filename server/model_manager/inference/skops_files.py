"""Bytes of a skops file → estimator, of types that skops or the operator trusts and of no other.

Unlike a pickle, such a file names what it is made of before anything is made. Runs in a loader thread.
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any, BinaryIO

from sklearn.exceptions import InconsistentVersionWarning

from model_manager.errors import LoadFailed, one_line
from model_manager.version import pip_install

_SHOWN = 10


def read_skops(file: BinaryIO, *, trusted: Sequence[str], most_bytes: int) -> Any:
    """Read an estimator. `most_bytes` bounds what it unpacks to.

    Raises LoadFailed: "untrusted_types" naming them, "too_large", "corrupt", or "unsupported_format" without skops;
    and ModuleNotFoundError for a type whose library is not here.
    """
    try:
        from skops.io import get_untrusted_types, loads
    except ImportError:
        message = f"reading it needs the library skops: {pip_install('skops')}"
        raise LoadFailed("unsupported_format", message) from None
    content = file.read()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
        if unpacked > most_bytes:
            message = f"it unpacks to {unpacked:,} bytes, and at most {most_bytes:,} are read"
            raise LoadFailed("too_large", f"{message}: have the operator raise --max-artifact-mb")
        found = get_untrusted_types(data=content)
        if foreign := [name for name in found if name not in trusted]:
            more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
            named = ", ".join(foreign[:_SHOWN]) + more
            message = f"it holds types that neither skops nor the operator trusts: {named}"
            raise LoadFailed("untrusted_types", f"{message}; --skops-trusted names those that are harmless")
        return loads(content, trusted=found)
    except (LoadFailed, InconsistentVersionWarning, KeyboardInterrupt, ModuleNotFoundError):
        raise
    except BaseException as error:  # a type that is trusted may raise what it likes
        raise LoadFailed("corrupt", f"the artifact is no file of skops.io.dump: {one_line(error)}") from error
