"""One request to a running server, made again where the server is busy or not there: the patience of commands.

Place in the flow: comparison_server and the commands that send what a file holds → **here** → the server.
"""

import http.client
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

from model_manager.errors import ServerRefused

TIMEOUT_S: Final = 60.0
_TRIES: Final = 6
_LONGEST_WAIT_S: Final = 5.0
_UNAVAILABLE: Final = (429, 503)
_PASSING: Final = (*_UNAVAILABLE, 502, 504)
"""What proxies answer, too, while pods are replaced."""


def ask(
    url: str, body: bytes | None, headers: Mapping[str, str], *, place: str, patience_s: float | None = None
) -> bytes:
    """Ask, and ask again where the server says that it is busy; to the end of patience, if there is any.

    `place` names what is asked. Raises ServerRefused when it cannot be reached, or refuses.
    """
    began = time.monotonic()

    def given_up(tries: int) -> bool:
        return tries >= _TRIES if patience_s is None else time.monotonic() - began >= patience_s

    for tries in itertools.count(1):
        request = urllib.request.Request(url, data=body, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            with error:
                said = error.read()
            passing = _UNAVAILABLE if patience_s is None else _PASSING
            if error.code not in passing or given_up(tries):
                told = f"{place} answers {error.code}: {reason_of(said, error.reason)}"
                raise ServerRefused(told, status=error.code) from None
            retry_after = error.headers.get("retry-after")
        except (OSError, ValueError, http.client.HTTPException) as error:
            if patience_s is None or isinstance(error, ValueError) or given_up(tries):
                reason = error.reason if isinstance(error, urllib.error.URLError) else error
                raise ServerRefused(f"{place} cannot be asked: {reason}") from None
            retry_after = None
        time.sleep(_wait_s(retry_after, _LONGEST_WAIT_S if patience_s is None else patience_s))
    raise AssertionError("the last try returns or raises")


def _wait_s(retry_after: str | None, longest: float) -> float:
    try:
        return min(longest, max(0.1, float(retry_after or 1)))
    except ValueError:
        return 1.0


def reason_of(said: bytes, otherwise: str) -> str:
    """The words of a refusal: ours and V2's are {"error": "…"}."""
    try:
        return str(json.loads(said)["error"])
    except (ValueError, TypeError, KeyError):
        return otherwise
