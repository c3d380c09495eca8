"""Ask a running server what it serves, over HTTP: the repository index on either port, models' metadata on the API's.

In the flow: `list`, `show`, `verify`, `diff`, `plan` with an address → **here**.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from model_manager.errors import QueryFailed
from model_manager.inventory.entry import Entry

TIMEOUT_S: Final = 30.0


class Row(msgspec.Struct):
    """One row of the repository index."""

    name: str
    version: str = ""
    state: str = ""
    reason: str = ""
    parameters: dict[str, str] = {}


class RunningServer:
    """One server at an address such as http://localhost:8080, its API's or its admin port's.

    `key`: an API key, or the admin port's token. Every method raises QueryFailed when the server cannot be reached,
    refuses, or does not answer as a model-manager.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise QueryFailed(f"{url!r} is not the address of a server: write it as http://localhost:8080")
        self.url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._tells_models = True

    def index(self) -> list[Row]:
        """Every known version and its state."""
        body = self._ask("/v2/repository/index", b"{}")
        assert body is not None, "only what may be missing is None"
        try:
            return msgspec.json.decode(body, type=list[Row])
        except msgspec.DecodeError as error:
            raise QueryFailed(f"{self.url} does not answer as a model-manager does: {error}") from None

    def described(self, model: str, version: str | None = None) -> Mapping[str, Any] | None:
        """A version's metadata, the default's where none is named; None where it is not ready, or on the admin port."""
        if not self._tells_models:
            return None
        named = f"/versions/{urllib.parse.quote(version, safe='')}" if version is not None else ""
        body = self._ask(f"/v2/models/{urllib.parse.quote(model, safe='')}{named}", missing=(404, 503))
        if body is None:
            return None
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise QueryFailed(f"{self.url} does not answer as a model-manager does: {error}") from None

    @property
    def tells_models(self) -> bool:
        """Whether this is the API port, which tells where versions come from; the admin port does not."""
        return self._tells_models

    def entries(self, model: str | None = None, version: str | None = None) -> list[Entry]:
        """List the versions of all models, or of those that are named."""
        rows = self.index()
        self._tells_models = self._ask("/v2/models", missing=(404,)) is not None
        return [self._entry(row) for row in rows if model in (None, row.name) and version in (None, row.version)]

    def _entry(self, row: Row) -> Entry:
        said = self.described(row.name, row.version) if row.state == "READY" and row.version else None
        properties: Mapping[str, str] = said["properties"] if said is not None else {}
        data = {name[len("data_") :]: value for name, value in properties.items() if name.startswith("data_")}
        metrics = metrics_in(properties.get("evaluation"))
        warning = properties.get("library_warning", "")
        return Entry(
            row.name,
            row.version,
            "IGNORED" if "ignored" in row.parameters else row.state,
            row.reason.removeprefix("ignored ") if "ignored" in row.parameters else row.reason or warning,
            default="default" in row.parameters,
            sha256=row.parameters.get("sha256"),
            created=properties.get("created"),
            data=data or None,
            evaluation={"metrics": metrics} if metrics else None,
            form=row.parameters.get("form"),
        )

    def _ask(self, path: str, body: bytes | None = None, *, missing: tuple[int, ...] = ()) -> bytes | None:
        """The body of an answer; None for a status in `missing`."""
        headers = {**self._headers, **({"content-type": "application/json"} if body is not None else {})}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            with error:
                said = error.read()
            if error.code in missing:
                return None
            raise QueryFailed(f"{self.url}{path} answers {error.code}: {_explained(error.code, said)}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise QueryFailed(f"{self.url} cannot be asked: {reason}") from None


def _explained(code: int, body: bytes) -> str:
    advice = "; give a key with --api-key-file" if code in (401, 403) else ""
    try:
        return f"{json.loads(body)['error']}{advice}"
    except (ValueError, KeyError, TypeError):
        return f"is it a model-manager?{advice}"


def metrics_in(text: str | None) -> dict[str, float]:
    """The metrics of an evaluation as a server tells them, which is JSON; none where it tells none."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, float])
    except msgspec.DecodeError:
        return {}
