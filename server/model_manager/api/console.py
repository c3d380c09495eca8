"""`/console`: pages for operators, on the admin port, and on the API port where a setting says so.

In the flow: app → **console** → the room of the same name, with what the pod says. Pages are made anew for each
request, need nothing from the internet, and change nothing but where the operator lets them. What a page sends has a
header that no other site's page may send.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from model_manager.api.authentication import may_see
from model_manager.api.body import SMALL_BODY, read_body
from model_manager.api.pod import Pod
from model_manager.api.routes import Route
from model_manager.console import ASSETS, Page, Pages, asset, body_of, figures_of
from model_manager.errors import InvalidInput, LedgerUnreadable, ModelNotFound, VersionNotFound
from model_manager.ledger import Event, history_of
from model_manager.metrics import Family
from model_manager.serving.profile import Profile

PATH: Final = "/console"
_WEEK: Final = timedelta(days=7)
_FRESH_S: Final = 1.0
"""So long several pages are told the same figures: they cost what a scrape costs."""
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_ASKED_BY_A_PAGE: Final = "hx-request"


class Console:
    """The pages of what `told` says. `ledger`: the folder it is kept in; `actions`: whether pages load and unload."""

    def __init__(self, told: Pod, *, ledger: Path | None, actions: bool, limit: int) -> None:
        self._told = told
        self._ledger = ledger
        self._actions = actions
        self._limit = min(limit, SMALL_BODY)
        self._pages = Pages(PATH)
        self._reading = asyncio.Lock()
        self._figures: tuple[float, Sequence[Family]] | None = None
        self._looking = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Every path of it."""
        model = f"{PATH}/models/{{model:name}}"
        version = f"{model}/versions/{{version:name}}"
        return [
            Route(PATH, self.overview),
            Route(f"{PATH}/static/{{file}}", self.file),
            Route(f"{PATH}/live", self.live),
            Route(f"{PATH}/parts/models", self.models),
            Route(model, self.model),
            Route(f"{model}/parts/versions", partial(self.part, self._pages.versions)),
            Route(f"{model}/parts/drift", partial(self.part, self._pages.drift)),
            Route(f"{model}/parts/accuracy", partial(self.part, self._pages.accuracy)),
            Route(f"{version}/form", self.form),
            Route(f"{version}/try", self.attempt, methods=["POST"]),
        ]

    async def overview(self, request: Request) -> Response:
        """Show every model, in what state it is, and what happened within a week."""
        page = await self._page(request, **await self._events(request, None))
        return _html(await asyncio.to_thread(self._pages.overview, page))

    async def models(self, request: Request) -> Response:
        """Give the part of the overview that changes."""
        return _html(await asyncio.to_thread(self._pages.models, await self._page(request)))

    async def model(self, request: Request) -> Response:
        """Show one model. Raises ModelNotFound."""
        model = request.path_params["model"]
        profiles = await self._told.profiles(model)
        page = await self._page(request, model, profiles=profiles, **await self._events(request, model))
        return _html(await asyncio.to_thread(self._pages.model, page))

    async def part(self, make: Callable[[Page], str], request: Request) -> Response:
        """Give a part of a model's page that changes. Raises ModelNotFound."""
        return _html(await asyncio.to_thread(make, await self._page(request, request.path_params["model"])))

    async def form(self, request: Request) -> Response:
        """Give a form for a row of a version. Raises ModelNotFound, VersionNotFound."""
        page, profile = await self._profile(request)
        return _html(await asyncio.to_thread(self._pages.form, page, profile))

    async def attempt(self, request: Request) -> Response:
        """Ask a version for the row that was filled in, and show the answer, or what is wrong with the row."""
        if _ASKED_BY_A_PAGE not in request.headers:
            raise InvalidInput(f"{PATH} is for its own pages; programs POST /v1/models/{{model}}:predict")
        page, profile = await self._profile(request)
        sent = await read_body(request.scope["headers"], request.receive, limit=self._limit)
        body = body_of(profile, dict(parse_qsl(sent.decode("utf-8", "replace"), keep_blank_values=True)))
        found = await self._told.attempt(profile.model, profile.version, body)
        return _html(await asyncio.to_thread(self._pages.answer, page, found, body))

    async def live(self, request: Request) -> Response:
        """Give the totals of every version, or of those of `?model=`; pages draw the differences."""
        async with self._looking:
            now = monotonic()
            if self._figures is None or now - self._figures[0] > _FRESH_S:
                self._figures = now, await self._told.current_metrics()
            families = self._figures[1]
        found = await asyncio.to_thread(figures_of, families, request.query_params.get("model") or None)
        shown = {name: one for name, one in found.items() if may_see(request, name.partition("/")[0])}
        return JSONResponse({"at": time(), "versions": shown}, headers=_HEADERS)

    async def file(self, request: Request) -> Response:
        """Give a file that pages name."""
        name = request.path_params["file"]
        if name not in ASSETS:
            raise HTTPException(404, f"there is no such file of the console: {name[:100]}")
        compressed = "gzip" in request.headers.get("accept-encoding", "")
        content, packed = await asyncio.to_thread(partial(asset, name, compressed=compressed))
        headers = {**_HEADERS, "cache-control": "max-age=3600", "vary": "accept-encoding"}
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(content, media_type=ASSETS[name], headers=headers)

    async def _page(self, request: Request, model: str = "", **more: Any) -> Page:
        rows = [row for row in await self._told.index() if may_see(request, row.name)]
        if model and not any(row.name == model for row in rows):
            raise ModelNotFound(f"no model {model!r} is known here")
        tallies = [tally for tally in await self._told.drift() if may_see(request, tally.model)]
        accuracies = [one for one in await self._told.accuracy() if may_see(request, one.model)]
        waiting = await self._told.waiting_for()
        return Page(rows, waiting, self._actions, tallies, accuracies, model=model, **more)

    async def _profile(self, request: Request) -> tuple[Page, Profile]:
        model, version = request.path_params["model"], request.path_params["version"]
        page = await self._page(request, model, profiles=await self._told.profiles(model))
        found = next((one for one in page.profiles if one.version == version), None)
        if found is None:
            raise VersionNotFound(f"no version {version!r} of {model!r} serves here now")
        return page, found

    async def _events(self, request: Request, model: str | None) -> dict[str, Any]:
        if self._ledger is None:
            return {}
        query = partial(
            history_of, self._ledger, model=model, version=None, since=datetime.now(UTC) - _WEEK, until=None
        )
        try:
            async with self._reading:
                history = await asyncio.to_thread(query)
        except LedgerUnreadable as error:
            return {"events": [], "unread": str(error)}
        seen: list[Event] = [one for one in history.events if one.model is None or may_see(request, one.model)]
        return {"events": seen}


def _html(text: str) -> Response:
    return HTMLResponse(text, headers=_HEADERS)
