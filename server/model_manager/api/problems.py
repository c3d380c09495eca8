"""What went wrong → an HTTP response. Every error of every route is `{"error": "…"}`; codes are in serving.outcomes."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model_manager.api.routes import options
from model_manager.codecs.content import version_headers
from model_manager.serving.outcomes import Problem, explain
from model_manager.serving.servable import Servable


def response_of(problem: Problem, servable: Servable | None = None) -> Response:
    """Put a problem into HTTP's form; it names the version that it is one of, if any."""
    headers = {"x-request-id": problem.request_id}
    if problem.retry_after_s is not None:
        headers["retry-after"] = str(problem.retry_after_s)
    if problem.code == 401:
        headers["www-authenticate"] = 'Bearer realm="model-manager"'
    if problem.code == 413:
        headers["connection"] = "close"  # the rest of the body is not worth reading
    body = msgspec.json.encode({"error": problem.message})
    response = Response(body, problem.code, headers, "application/json")
    if servable is not None:
        response.raw_headers.extend(version_headers(*servable.id))
    return response


async def on_error(request: Request, error: Exception) -> Response:
    """Exception handler for everything raised by a route."""
    return response_of(explain(error, request.scope["headers"], request.scope["path"]))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler for unknown routes (404) and methods (405)."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    message = error.detail
    if request.method == "OPTIONS" and request.scope["path"] == "*":
        return options(("GET", "HEAD", "OPTIONS", "POST"))  # of the server as a whole, RFC 9110 §9.3.7
    if error.status_code == 404:
        message = f"no such route: {request.method} {request.url.path}; GET / lists what there is"
    elif error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        message = f"{request.method} is not allowed for {request.url.path}; allowed: {headers['Allow']}"
    return JSONResponse({"error": message}, error.status_code, headers)
