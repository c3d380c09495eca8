"""Load and unload of V2's repository extension: what an operator asks of one model beside what the folder wants."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.api.body import SMALL_BODY, read_body
from model_manager.errors import InvalidInput, ModelForbidden, ModelNotFound

_TAKEN: Final = frozenset({"unload_dependents"})
"""Parameters that change nothing: no model depends on another here."""


class _Body(msgspec.Struct):
    parameters: dict[str, Any] | None = None


def _refuse_other_sites(request: Request) -> None:
    """A browser says which site's page sends a POST; programs do not. Raises InvalidInput for another site's."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise InvalidInput(f"pages of {origin[:100]} may not load and unload models here")


class RepositoryControl:
    """The two routes. `load` and `unload` are told a model, and say whether there is one. `limit`: bytes of a body.

    `alone`: whether no other process serves the models, who would not hear of it.
    """

    def __init__(
        self,
        load: Callable[[str], Awaitable[bool]],
        unload: Callable[[str], Awaitable[bool]],
        *,
        limit: int,
        alone: bool,
    ) -> None:
        self._load = load
        self._unload = unload
        self._limit = min(limit, SMALL_BODY)
        self._alone = alone

    async def load(self, request: Request) -> Response:
        """Take up a model that was unloaded, and try again now what failed of it; the index tells what comes of it."""
        return await self._ordered(request, "load", self._load)

    async def unload(self, request: Request) -> Response:
        """Stop serving a model until the folder wants it otherwise, it is loaded again, or the server starts."""
        return await self._ordered(request, "unload", self._unload)

    async def _ordered(self, request: Request, word: str, order: Callable[[str], Awaitable[bool]]) -> Response:
        model = request.path_params["model"]
        if not may_see(request, model):
            raise ModelForbidden(f"this key may not use model '{model}'")
        if not self._alone:
            raise InvalidInput(f"{word}: several workers answer here, and one alone would be told; ask the admin port")
        _refuse_other_sites(request)
        for name in await self._parameters(request, word):
            if name not in _TAKEN:
                raise InvalidInput(
                    f"{word}: parameters: {name[:100]!r} is not taken here: what a model is, the manifest says"
                )
        if not await order(model):
            raise ModelNotFound(f"no model {model!r} is wanted here; the manifest or the folder names those that are")
        return JSONResponse({"name": model, word: True})

    async def _parameters(self, request: Request, word: str) -> Mapping[str, Any]:
        body = await read_body(request.scope["headers"], request.receive, limit=self._limit)
        try:
            said = msgspec.json.decode(body, type=_Body) if body.strip() else _Body()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(f'{word} takes {{"parameters": {{…}}}} or nothing: {error}') from None
        return said.parameters or {}
