"""Ask Prometheus over its HTTP API: instant queries, each evaluated at a time that the caller gives.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from model_manager.errors import QueryFailed

TIMEOUT_S = 30.0

_T = TypeVar("_T")


class Sample(msgspec.Struct):
    """One series at one time."""

    metric: dict[str, str]
    value: tuple[float, str]


class Series(msgspec.Struct):
    """One series over a range: times in Unix seconds, values as Prometheus writes them."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: msgspec.Raw


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


class Prometheus:
    """One Prometheus, or what speaks like it, at an address such as http://localhost:9090.

    Every method raises QueryFailed when it cannot be reached, does not answer as Prometheus, or refuses the query.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise QueryFailed(f"{url!r} is not the address of a Prometheus: write it as http://localhost:9090")

    def now(self) -> float:
        """The time at Prometheus, in Unix seconds: the caller's clock may be another one."""
        (sample,) = self._ask("vector(time())", {}, list[Sample])
        return float(sample.value[1])

    def vector(self, expression: str, at: float) -> list[Sample]:
        """The series of an instant vector."""
        return self._ask(expression, {"time": f"{at:.3f}"}, list[Sample])

    def matrix(self, expression: str, at: float) -> list[Series]:
        """The series of a range vector."""
        return self._ask(expression, {"time": f"{at:.3f}"}, list[Series])

    def _ask(self, expression: str, parameters: Mapping[str, str], answer_type: type[_T]) -> _T:
        query = urllib.parse.urlencode({"query": expression, **parameters})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=TIMEOUT_S) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
            if not body.lstrip().startswith(b"{"):
                raise QueryFailed(f"{self.url} answers {error.code} {error.reason}: is it a Prometheus?") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise QueryFailed(f"Prometheus cannot be asked at {self.url}: {reason}") from None
        try:
            answer = msgspec.json.decode(body, type=_Answer)
            if answer.data is not None and answer.status == "success":
                return msgspec.json.decode(answer.data.result, type=answer_type)
        except msgspec.DecodeError as error:
            raise QueryFailed(f"{self.url} does not answer as Prometheus does: {error}") from None
        raise QueryFailed(f"Prometheus refuses {expression}: {answer.error}")


def quoted(text: str) -> str:
    """A text as a string of PromQL."""
    return json.dumps(text, ensure_ascii=False)
