"""API keys: who may ask, for which models, and how often. Headers and a model's name in, a client or a refusal out.

In the flow: connection → **keyring** (asked by a middleware, or by the adapter of another protocol) → adapter. Kept as
SHA-256 of each key: a key is 256 random bits, which nobody can try out, so there is nothing that a slow hash or a salt
would make harder, and each request pays for the hash.
"""

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_manager.call import Headers
from model_manager.errors import KeysInvalid, ManifestInvalid, ModelForbidden, RateLimited, Unauthenticated
from model_manager.metrics import Metrics
from model_manager.repository.wanted import NAME_PATTERN
from model_manager.repository.yaml_lines import Document, read_yaml
from model_manager.serving.mounted_files import read_folder

_PREFIX: Final = 8  # bytes of a digest by which a key is found
_OF_NOTHING: Final = hashlib.sha256().hexdigest()
_OUTCOMES: Final = ("admitted", "forbidden", "rate_limited")


def new_key() -> str:
    """A key of 256 random bits, with a prefix by which scanners for secrets can know it."""
    return f"mmk_{secrets.token_urlsafe(32)}"


def digest_of(key: bytes) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key).digest()


class KeyEntry(BaseModel):
    """One key as its file says it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    models: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._*-]{1,128}$")]], Field(min_length=1)] | None = (
        None
    )
    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None


class Client:
    """Whoever holds a key. Its rate is a token bucket: `rate` a second, `burst` at once; none where it is None."""

    __slots__ = (
        "_admitted", "_at", "_burst", "_forbidden", "_limited", "_named", "_patterns", "_rate", "_tokens", "digest",
        "id",
    )  # fmt: skip

    def __init__(self, id: str, entry: KeyEntry, *, workers: int, metrics: Metrics, before: "Client | None") -> None:
        self.id = id
        self.digest = bytes.fromhex(entry.sha256)
        models = ["*"] if entry.models is None else entry.models
        self._named = frozenset(model for model in models if "*" not in model)
        patterns = [re.escape(model).replace(r"\*", ".*") for model in models if "*" in model]
        self._patterns = re.compile("|".join(patterns), re.DOTALL).fullmatch if patterns else None
        rate = entry.requests_per_second
        self._rate = None if rate is None else rate / workers
        self._burst = max(1.0, (entry.burst or math.ceil(rate or 0)) / workers)
        self._tokens: float = self._burst if before is None else min(self._burst, before._tokens)
        self._at: float = monotonic() if before is None else before._at
        self._admitted, self._forbidden, self._limited = (
            metrics.client_requests.labels(id, outcome) for outcome in _OUTCOMES
        )

    def may_use(self, model: str) -> bool:
        """Whether it may see a model and ask it."""
        return model in self._named or (self._patterns is not None and self._patterns(model) is not None)

    def admit(self, model: str | None) -> None:
        """Take one request of it, for a model if it names one. Raises ModelForbidden or RateLimited."""
        if model is not None and model not in self._named and not self.may_use(model):
            self._forbidden.inc()
            raise ModelForbidden(f"this key may not use model '{model}'")
        if self._rate is not None:
            self._take(self._rate)
        self._admitted.value += 1

    def _take(self, rate: float) -> None:
        now = monotonic()
        tokens = self._tokens + (now - self._at) * rate
        if tokens > self._burst:
            tokens = self._burst
        self._at = now
        if tokens < 1:
            self._tokens = tokens
            self._limited.inc()
            wait = math.ceil((1 - tokens) / rate)
            raise RateLimited("this key has used up its rate of requests", retry_after_s=wait)
        self._tokens = tokens - 1


class Keyring:
    """The keys that are in force. `path`: a file of keys, or a folder of them. Use it on the event loop only.

    Rates are of a pod: each of its `workers` allows its part.
    """

    def __init__(self, path: Path, metrics: Metrics, *, workers: int) -> None:
        self.path = path
        self._metrics = metrics
        self._workers = workers
        self._clients: dict[bytes, Client] = {}
        self._unknown = metrics.client_requests.labels("", "unauthenticated")
        self.use(self.read())

    def read(self) -> dict[str, KeyEntry]:
        """Read what the files say now. Blocking. Raises KeysInvalid or MountUnusable."""
        return parse_keys(read_folder(self.path))

    def use(self, entries: Mapping[str, KeyEntry]) -> None:
        """Let these be the keys in force; what a client has used up of its rate stays used up."""
        before = {client.id: client for client in self._clients.values()}
        clients = [
            Client(id, entry, workers=self._workers, metrics=self._metrics, before=before.get(id))
            for id, entry in entries.items()
        ]
        self._clients = {client.digest[:_PREFIX]: client for client in clients}
        for id in before.keys() - entries.keys():
            for outcome in _OUTCOMES:
                self._metrics.client_requests.remove(id, outcome)

    def admit(self, headers: Headers, model: str | None) -> Client:
        """Say whose request this is, and take it: `authorization: Bearer <key>`, or `x-api-key: <key>`, which wins.

        `model` is None where a request names none. Raises Unauthenticated, ModelForbidden or RateLimited.
        """
        key = sent_key(headers)
        if key is None:
            self._unknown.inc()
            raise Unauthenticated("an API key is needed: send authorization: Bearer <key>, or x-api-key: <key>")
        digest = digest_of(key)
        # How long the lookup takes depends on a digest that the sender knows and cannot choose; the rest of it is
        # compared in constant time.
        client = self._clients.get(digest[:_PREFIX])
        if client is None or not hmac.compare_digest(client.digest, digest):
            self._unknown.inc()
            raise Unauthenticated("this API key is not known here")
        client.admit(model)
        return client


def sent_key(headers: Headers) -> bytes | None:
    """The key that a request carries; `x-api-key` wins, since `authorization` may be meant for a mesh."""
    bearer = None
    for name, value in headers:
        if name == b"x-api-key":
            return value
        if name == b"authorization" and (value[:7] == b"Bearer " or value[:7].lower() == b"bearer "):
            bearer = value[7:].strip()
    return bearer


def parse_keys(files: Mapping[str, bytes]) -> dict[str, KeyEntry]:
    """Read keys by their id from YAML files: `keys: {<id>: {sha256: …, models: […], requests_per_second: …}}`.

    Raises KeysInvalid with file, line and id, and never quotes a value: it may be a key that was put there by mistake.
    """
    entries: dict[str, KeyEntry] = {}
    digests: dict[str, str] = {}
    for name, text in files.items():
        for id, entry in _entries_of(name, text):
            if id in entries:
                raise KeysInvalid(f"{name}: keys.{id}: another file has this id too")
            same = digests.setdefault(entry.sha256[: 2 * _PREFIX], id)
            if same != id:
                raise KeysInvalid(f"{name}: keys.{id}: is the same key as {same}")
            if entry.sha256 == _OF_NOTHING:
                raise KeysInvalid(f"{name}: keys.{id}: is the digest of no key at all")
            entries[id] = entry
    if not entries:
        raise KeysInvalid("there are no API keys: make one with `model-manager api-key`, or leave api_keys unset")
    return entries


def _entries_of(name: str, text: bytes) -> Iterator[tuple[str, KeyEntry]]:
    try:
        document = read_yaml(text, name)
    except ManifestInvalid as error:
        raise KeysInvalid(_unquoted(str(error))) from None
    data = document.data
    if not isinstance(data, dict) or data.keys() != {"keys"} or not isinstance(data["keys"], dict):
        raise KeysInvalid(f"{name}: must be one mapping, `keys:`, of ids to keys")
    for id, said in data["keys"].items():
        if re.fullmatch(NAME_PATTERN, id) is None:
            line = document.line_of(("keys", id))
            raise KeysInvalid(f"{name} line {line}: an id is letters, digits, '-', '_' and '.', at most 128")
        yield id, _entry(document, id, said)


def _entry(document: Document, id: str, said: object) -> KeyEntry:
    try:
        return KeyEntry.model_validate(said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        loc = first["loc"]
        path = ("keys", id, *(part for part in loc[:1] if isinstance(said, dict) and part in said))
        missing = first["type"] == "missing"
        problem = "is required" if missing else first["msg"].replace("Input should be", "must be")
        if loc[:1] == ("sha256",) and not missing:
            problem = "must be 64 lower-case hex digits, as `model-manager api-key` prints them; never the key itself"
        where = ".".join(("keys", id, *(str(part) for part in loc[:1])))
        raise KeysInvalid(f"{document.name} line {document.line_of(path)}: {where}: {problem}") from None


def _unquoted(problem: str) -> str:
    """What is wrong with a YAML text, without the value that reading it may have quoted."""
    return re.sub(r"cannot read .*", "a value cannot be read; is it text? write it in quotes", problem)
