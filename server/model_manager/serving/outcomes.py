"""Error → what a caller is told of it. The one table of codes: HTTP's numbers, which metrics and traces count by.

In the flow: answering, or any route that raises → **outcomes** → an adapter, which puts it in its protocol's form. What
is our fault or the estimator's is logged here, once, under the request's id; the caller gets the id.
"""

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from model_manager.call import Headers, request_id
from model_manager.errors import (
    BodyTimedOut,
    BodyTooLarge,
    ClientGone,
    ConfigurationError,
    DeadlineExceeded,
    ExplanationMismatch,
    InvalidInput,
    LoadFailed,
    ModelForbidden,
    ModelManagerError,
    ModelNotFound,
    PredictionFailed,
    RateLimited,
    RequestRefused,
    Unauthenticated,
    Unavailable,
    UnsupportedContent,
    VersionNotFound,
)
from model_manager.traces import trace_fields

if TYPE_CHECKING:
    from model_manager.traces import RequestTrace

logger = logging.getLogger(__name__)

CODES: Final[dict[type[ModelManagerError], int]] = {
    InvalidInput: 400,
    BodyTimedOut: 408,
    BodyTooLarge: 413,
    UnsupportedContent: 415,
    Unauthenticated: 401,
    ModelForbidden: 403,
    ModelNotFound: 404,
    VersionNotFound: 404,
    RequestRefused: 400,
    ClientGone: 499,  # never sent: what a request is counted under when its client left (nginx's convention)
    RateLimited: 429,
    Unavailable: 503,
    DeadlineExceeded: 504,
    PredictionFailed: 500,
    ExplanationMismatch: 500,
    LoadFailed: 500,
    ConfigurationError: 500,
    ModelManagerError: 500,
}


class Problem(NamedTuple):
    """What a caller is told. `retry_after_s` is None where trying again is of no use, or no sooner than at once."""

    code: int
    message: str
    request_id: str
    retry_after_s: int | None = None


def code_of(error: BaseException) -> int:
    """The code of an error; anything that is not ours is 500."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
    return 500


def explain(error: BaseException, headers: Headers, path: str, trace: "RequestTrace | None" = None) -> Problem:
    """Say what a caller is told of an error; `headers` and `path` are the request's.

    What is our fault or the estimator's is logged with the request's id. Both are told in words that quote no data:
    what an exception itself says goes to the log alone, and only where `log_model_errors` asks for it.
    """
    code = code_of(error)
    id = request_id(headers)
    message = str(error)
    if code == 500:
        fields = {"request_id": id, **trace_fields(headers, trace), "path": path}
        said, shown = type(error).__name__, "internal error"
        if isinstance(error, PredictionFailed):
            said = shown = error.shown
        elif isinstance(error, ExplanationMismatch):
            said = shown = message
        logger.error("%s", said, exc_info=error.__cause__ or error, extra=fields)
        message = f"{shown} (request id {id})"
    return Problem(code, message, id, error.retry_after_s if isinstance(error, Unavailable) else None)
