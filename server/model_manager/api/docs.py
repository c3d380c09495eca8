"""`GET /docs`: Swagger UI over this server's own description; all of it comes from here, and none from the internet.

In the flow: app → **docs**. Its files are packed in the wheel, and go out as they lie there: compressed.
"""

import gzip
from importlib.resources import files
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

_FOLDER: Final = files("model_manager.api") / "swagger_ui"
ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def page(request: Request) -> Response:
    """Show what this server answers, and let people try it."""
    if request.scope.get("raw_path", b"").endswith(b"/"):
        return RedirectResponse("../docs")  # what the page names lies beside it
    return Response((_FOLDER / "index.html").read_bytes(), media_type="text/html; charset=utf-8", headers=_HEADERS)


def asset(request: Request) -> Response:
    """Give a file of the page."""
    name = request.path_params["asset"]
    if name not in ASSETS:
        raise HTTPException(404, f"there is no such file of the page: {name[:100]}")
    headers = {**_HEADERS, "vary": "accept-encoding"}
    packed = _FOLDER / f"{name}.gz"
    if not packed.is_file():
        return Response((_FOLDER / name).read_bytes(), media_type=ASSETS[name], headers=headers)
    content = packed.read_bytes()
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=ASSETS[name], headers=headers)
