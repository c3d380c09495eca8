"""Ask a running server for its ledger, over HTTP: `GET /ledger` on the admin port.

In the flow: `history --url` → **here**.
"""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from model_manager.errors import QueryFailed

TIMEOUT_S: Final = 60.0

T = TypeVar("T")


class _Refusal(msgspec.Struct):
    error: str


def ask_ledger(url: str, query: Mapping[str, str | None], kind: type[T], *, key: str | None) -> T:
    """Ask the server whose admin port is at `url`, such as http://localhost:8081; `key`: the token it asks for.

    Raises QueryFailed when it cannot be reached, refuses, or keeps no ledger, with what to do.
    """
    address = urllib.parse.urlsplit(url)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise QueryFailed(f"{url!r} is not the address of a server: write it as http://localhost:8081")
    given = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{url.rstrip('/')}/ledger?{given}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return msgspec.json.decode(response.read(), type=kind)
    except urllib.error.HTTPError as error:
        raise QueryFailed(f"{url} answers {error.code}: {_said(error)}") from None
    except (OSError, http.client.HTTPException) as error:
        raise QueryFailed(f"{url} cannot be asked: {getattr(error, 'reason', error)}") from None
    except msgspec.DecodeError as error:
        raise QueryFailed(f"{url} does not answer as the admin port of a model-manager does: {error}") from None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        said = msgspec.json.decode(error.read(), type=_Refusal).error
    except (msgspec.DecodeError, OSError, http.client.HTTPException):
        return str(error.reason)
    if error.code == 404 and said.startswith("no such route"):
        return "it has no ledger; name the admin port, such as http://localhost:8081"
    return said
