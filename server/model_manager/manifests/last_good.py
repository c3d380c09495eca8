"""Ask a running server for the last wanted state in which every model served and no version had failed."""

import hashlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Final

from model_manager.errors import ChangeRefused, ManifestInvalid
from model_manager.repository.manifest import parse_manifest
from model_manager.repository.yaml_lines import LIMIT

_PATH: Final = "/ledger/last-good"
_TIMEOUT_S: Final = 30.0


class NoneYet(ChangeRefused):
    """The server knows of no such state."""


def last_good(url: str, key: str | None = None) -> bytes:
    """Give the manifest of the last good state, as the admin port at `url` keeps it; `key` is its token.

    Raises NoneYet where there was none, and ChangeRefused where the server cannot be asked.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ChangeRefused(f"{url!r} is not the address of an admin port: write it as http://localhost:8081")
    address = url.rstrip("/") + _PATH
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            manifest: bytes = response.read(LIMIT.bytes + 1)
            generation = response.headers.get("x-generation")
    except urllib.error.HTTPError as error:
        with error:
            said = _said(error.read(LIMIT.bytes))
        if error.code == 404 and said is not None:
            raise NoneYet(f"{address}: {said}") from None
        advice = said or f"{error.reason}: is it the admin port of a server that keeps a ledger?"
        raise ChangeRefused(f"{address} answers {error.code}: {advice}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ChangeRefused(f"{address} cannot be asked: {reason}") from None
    if generation is None or not generation.endswith(hashlib.sha256(manifest).hexdigest()):
        raise ChangeRefused(f"{address}: the answer is cut short, or not that of a model-manager; ask again")
    try:
        parse_manifest(manifest, f"the manifest of {address}")
    except ManifestInvalid as error:
        raise ChangeRefused(str(error)) from None
    return manifest


def _said(body: bytes) -> str | None:
    """What an error of the server says; None where the answer is no error of ours."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(said)
