"""The exception tree: what can go wrong, by meaning. Codes are in serving/outcomes.py, not here.

ModelManagerError
├── RequestRefused              the caller's fault; never counts against a version
│   ├── InvalidInput            malformed body, wrong columns, types, shapes, missing values
│   ├── BodyTooLarge            more bytes than the server accepts
│   ├── UnsupportedContent      a content type or encoding that is not served
│   ├── ModelNotFound           no such model
│   └── VersionNotFound         the model exists, that version does not
├── ClientGone                  the caller left before its answer was there; nobody is told
├── Unavailable                 right request, wrong moment; carries when to retry
│   ├── VersionNotReady         known, but fetching, loading, proving, failed or draining
│   └── Overloaded              the version's queue is full
├── DeadlineExceeded            the time allowed for the request has passed
├── PredictionFailed            the estimator raised, or returned the wrong number of rows
├── LoadFailed                  one version cannot be served; carries a reason from a closed list
├── QueryFailed                 Prometheus cannot be asked, or refuses a query
└── ConfigurationError          what the operator declared cannot be used
    ├── SourceUnreadable        the models folder is missing or cannot be read
    ├── ManifestInvalid         models.yaml is refused as a whole; carries line and key
    ├── PackageRefused          a package that cannot be written, or would not serve
    ├── TableRefused            a file of training data that cannot be read for what it says
    └── StartRefused            a setting or a port that the server cannot start with
"""

from typing import Literal

LoadFailureReason = Literal[
    "missing",  # no artifact where the wanted state says it is
    "unreadable",  # it exists, and the operating system refuses it
    "unsupported_scheme",  # a URI this server cannot fetch
    "digest_mismatch",  # the bytes are not the ones that were declared
    "metadata_invalid",  # metadata.json does not say what it must
    "library_mismatch",  # written by another version of scikit-learn, and the policy is to refuse
    "corrupt",  # the bytes do not unpickle
    "not_a_model",  # they do, to something that predicts nothing
    "model_raised",  # its own code raised what ends a task, a thread or a program
    "unsafe",  # the rows of a client would name files of the server, or code to run
    "golden_mismatch",  # it does not answer what its author saw
    "quarantined",  # its code ended the server too often
    "internal",  # our own bug
]


def one_line(error: BaseException) -> str:
    """Name an exception and what it says, in one line: a model's own may quote a whole input, or fail at saying it."""
    try:
        said = " ".join(str(error)[:10_000].split())[:300]
    except BaseException as another:
        said = f"its message cannot be read ({type(another).__name__})"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class ModelManagerError(Exception):
    """Everything this package raises on purpose."""


class RequestRefused(ModelManagerError):
    """The request is at fault and will fail again unchanged."""


class InvalidInput(RequestRefused):
    """The body does not fit the version's declared inputs; the message names input, row and column."""


class BodyTooLarge(RequestRefused):
    """The body has more bytes than the server accepts."""


class UnsupportedContent(RequestRefused):
    """The content type or content encoding is not one this route reads."""


class ModelNotFound(RequestRefused):
    """No model of that name is wanted or served."""


class VersionNotFound(RequestRefused):
    """The model is known; the version is not."""


class ClientGone(ModelManagerError):
    """The caller closed its connection before its request was whole, or before the answer was there."""


class Unavailable(ModelManagerError):
    """The request is right and may succeed later; `retry_after_s` says when to try."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class VersionNotReady(Unavailable):
    """The version is known and cannot answer now."""


class Overloaded(Unavailable):
    """The version's queue is full."""


class DeadlineExceeded(ModelManagerError):
    """The time allowed for the request passed before an answer was there."""


class PredictionFailed(ModelManagerError):
    """The estimator raised on input that fits its declared inputs, or broke its row count."""


class LoadFailed(ModelManagerError):
    """One version cannot be served; `reason` is a short word fit for a metric label."""

    def __init__(self, reason: LoadFailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class QueryFailed(ModelManagerError):
    """Prometheus cannot be reached, does not answer as Prometheus does, or refuses a query."""


class ConfigurationError(ModelManagerError):
    """What the operator declared cannot be used."""


class SourceUnreadable(ConfigurationError):
    """The models folder is missing, empty of meaning, or cannot be read; what serves stays."""


class ManifestInvalid(ConfigurationError):
    """models.yaml is refused as a whole; the message starts with the line and the key."""


class PackageRefused(ConfigurationError):
    """A package cannot be written: the version exists, the sample does not fit, or the estimator would not serve."""


class TableRefused(ConfigurationError):
    """A file is no table that could be read for certain, or lacks what was asked of it; the message says where."""


class StartRefused(ConfigurationError):
    """The server cannot start: a wrong setting, a busy port, an unreadable folder."""
