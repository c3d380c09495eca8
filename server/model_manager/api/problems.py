"""Error → status and body: the one table of HTTP statuses. Every error of every route is `{"error": "…"}`."""

import logging
import uuid
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from model_manager.errors import (
    BodyTooLarge,
    ConfigurationError,
    DeadlineExceeded,
    InvalidInput,
    LoadFailed,
    ModelManagerError,
    ModelNotFound,
    PredictionFailed,
    RequestRefused,
    Unavailable,
    UnsupportedContent,
    VersionNotFound,
)
from model_manager.traces import trace_fields

if TYPE_CHECKING:
    from model_manager.traces import RequestTrace

logger = logging.getLogger(__name__)

STATUS: dict[type[ModelManagerError], int] = {
    InvalidInput: 400,
    BodyTooLarge: 413,
    UnsupportedContent: 415,
    ModelNotFound: 404,
    VersionNotFound: 404,
    RequestRefused: 400,
    Unavailable: 503,
    DeadlineExceeded: 504,
    PredictionFailed: 500,
    LoadFailed: 500,
    ConfigurationError: 500,
    ModelManagerError: 500,
}


def status_of(error: Exception) -> int:
    """The HTTP status of an error; anything that is not ours is 500."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def sent_request_id(scope: Scope) -> str | None:
    """The caller's x-request-id, which a mesh sets."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return str(value.decode("latin-1"))
    return None


def request_id(scope: Scope) -> str:
    """The caller's x-request-id, or a new one."""
    return sent_request_id(scope) or uuid.uuid4().hex


def problem(error: Exception, scope: Scope, trace: "RequestTrace | None" = None) -> Response:
    """The response for an error. What is our fault or the estimator's is logged with the request's id, never shown."""
    status = status_of(error)
    headers = {"x-request-id": request_id(scope)}
    message = str(error)
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, BodyTooLarge):
        headers["connection"] = "close"  # the rest of the body is not worth reading
    if status == 500:
        fields = {"request_id": headers["x-request-id"], **trace_fields(scope["headers"], trace), "path": scope["path"]}
        logger.error("%s", message or type(error).__name__, exc_info=error.__cause__ or error, extra=fields)
        shown = message if isinstance(error, PredictionFailed) else "internal error"
        message = f"{shown} (request id {headers['x-request-id']})"
    return Response(msgspec.json.encode({"error": message}), status, headers, "application/json")


async def on_error(request: Request, error: Exception) -> Response:
    """Exception handler for everything raised by a route."""
    return problem(error, request.scope)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Exception handler for unknown routes (404) and methods (405)."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    message = error.detail
    if error.status_code == 404:
        message = f"no such route: {request.method} {request.url.path}; GET / lists what there is"
    elif error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        message = f"{request.method} is not allowed for {request.url.path}; allowed: {headers['Allow']}"
    return JSONResponse({"error": message}, error.status_code, headers)
