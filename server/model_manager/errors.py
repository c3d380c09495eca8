"""The exception tree: what can go wrong, by meaning. Codes are in serving/outcomes.py, not here.

ModelManagerError
├── RequestRefused              the caller's fault; never counts against a version
│   ├── InvalidInput            malformed body, wrong columns, types, shapes, missing values
│   │   └── UnknownOutput       an output that the version has not; carries its name
│   ├── BodyTooLarge            more bytes than the server accepts
│   ├── BodyTimedOut            a body that does not arrive in time
│   ├── UnsupportedContent      a content type or encoding that is not served
│   ├── Unauthenticated         no API key, or one that is not known
│   ├── ModelForbidden          the API key is not for this model
│   ├── NotExplained            this version's answers, or so many rows, are not explained
│   ├── ModelNotFound           no such model
│   └── VersionNotFound         the model exists, that version does not
├── ClientGone                  the caller left before its answer was there; nobody is told
├── Unavailable                 right request, wrong moment; carries when to retry
│   ├── VersionNotReady         known, but fetching, loading, proving, failed or draining
│   ├── Overloaded              the version's queue is full
│   ├── ReceivingTooMuch        more bytes of unfinished bodies than the server holds at once
│   └── RateLimited             the API key has used up its rate
├── DeadlineExceeded            the time allowed for the request has passed
├── PredictionFailed            the estimator raised, or returned the wrong number of rows
├── ExplanationMismatch         an explanation does not add up to the answer, and is not given
├── LoadFailed                  one version cannot be served; carries a reason from a closed list
├── StoreFailed                 a store of artifacts cannot be reached, or refuses; carries a reason
├── QueryFailed                 Prometheus, or a running server, cannot be asked, or refuses
├── ServerRefused               a running server refuses the rows that a command sends it
└── ConfigurationError          what the operator declared cannot be used
    ├── SourceUnreadable        the models folder is missing or cannot be read
    ├── MountUnusable           a mounted file of keys or certificates cannot be read
    ├── KeysInvalid             a file of API keys is refused as a whole
    ├── ManifestInvalid         models.yaml is refused as a whole; carries line and key
    ├── ChangeRefused           a change of the wanted state that cannot be made
    │   └── GatesFailed         its version failed the gates of its evaluation
    ├── LedgerUnreadable        there is no ledger where one is asked, or it cannot be read
    ├── PackageRefused          a package that cannot be written, or would not serve
    │   └── VersionTaken        the version exists with other bytes, and versions are never overwritten
    ├── TableRefused            a file of training data that cannot be read for what it says
    ├── GateInvalid             a condition on metrics that says nothing
    ├── ReportRefused           a report that cannot be drawn or written
    └── StartRefused            a setting or a port that the server cannot start with
"""

import re
from typing import Final, Literal

LoadFailureReason = Literal[
    "missing",  # no artifact where the wanted state says it is
    "unreadable",  # it exists, and the operating system refuses it
    "unsupported_scheme",  # a URI this server cannot fetch
    "not_allowed",  # the operator's settings forbid where the file lies, whose it is, or its format
    "unreachable",  # the store that holds it does not answer, breaks off, or is too slow
    "store_refused",  # the store that holds it does not let this server read it
    "cache_unusable",  # what is fetched cannot be kept on this machine's disk
    "too_large",  # it has more bytes than the operator lets be read
    "digest_missing",  # the operator asks for a declared digest
    "digest_mismatch",  # the bytes are not the ones that were declared
    "unsigned",  # the operator asks for a signature
    "bad_signature",  # the signature is not by whom the operator trusts, or not of these files
    "untrusted_types",  # a skops artifact holds types that the operator did not name
    "unsupported_format",  # the library that reads this format is not installed
    "metadata_invalid",  # metadata.json does not say what it must
    "library_mismatch",  # written by another version of scikit-learn, and the policy is to refuse
    "corrupt",  # the bytes do not unpickle
    "not_a_model",  # they do, to something that predicts nothing
    "model_raised",  # its own code raised what ends a task, a thread or a program
    "unsafe",  # the rows of a client would name files of the server, or code to run
    "golden_mismatch",  # it does not answer what its author saw
    "predict_raises",  # it raises on every row that was tried
    "ended_process",  # its own code ended the child process in which it was tried, or broke it
    "timeout",  # trying it did not come to an end
    "not_isolated",  # it is to predict in a process of its own, which is not possible
    "quarantined",  # its code ended the server too often
    "internal",  # our own bug
]


_USER: Final = re.compile(r"//[^/\s]*@|(?<=:)[^:/@\s]+/[^/\s]+@//")  # Oracle's stand before the slashes
_NAME: Final = r"(?i)\b(\w*(?:key|password|passwd|pwd|secret|sig|signature|token|user(?: id)?|uid))"
_SECRET: Final = re.compile(_NAME + r"=[^;&/\s]*")
_SECRET_OF_LIST: Final = re.compile(_NAME + r"=[^;]*")  # keys in base 64 hold slashes
_MOST_SAID: Final = 2_000


def without_secrets(text: str, *, of_list: bool = False) -> str:
    """Leave users, passwords and whatever is called a secret out of the URIs that a text quotes.

    `of_list`: the text is a list of settings, `Server=…;Password=…`.
    """
    secret = _SECRET_OF_LIST if of_list else _SECRET
    return _USER.sub("//", secret.sub(r"\1=…", text))


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


class UnknownOutput(InvalidInput):
    """The version has no output of this `name`."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class BodyTooLarge(RequestRefused):
    """The body has more bytes than the server accepts."""


class BodyTimedOut(RequestRefused):
    """The client did not send its body in time."""


class UnsupportedContent(RequestRefused):
    """The content type or content encoding is not one this route reads."""


class Unauthenticated(RequestRefused):
    """The request carries no API key, or one that is not known here."""


class ModelForbidden(RequestRefused):
    """The API key is known, and is not for this model."""


class NotExplained(RequestRefused):
    """An explanation of this version, or of so many rows, is not to be had; the message says why."""


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


class ReceivingTooMuch(Unavailable):
    """All bodies under way together are more than the server holds, and this is the largest of them."""


class RateLimited(Unavailable):
    """The API key has used up its rate of requests."""


class DeadlineExceeded(ModelManagerError):
    """The time allowed for the request passed before an answer was there."""


class PredictionFailed(ModelManagerError):
    """The estimator raised on input that fits its declared inputs, or broke its row count.

    `shown` is what a caller, the log and traces may be told: words that quote no data. The message itself, which may
    hold what the estimator said of a row, is for the author of the model.
    """

    def __init__(self, message: str, *, shown: str | None = None) -> None:
        super().__init__(message)
        self.shown = message if shown is None else shown

    def __repr__(self) -> str:
        """What asyncio logs of a future whose exception nobody asked for."""
        return f"{type(self).__name__}({self.shown!r})"


class ExplanationMismatch(ModelManagerError):
    """Base value and contributions do not add up to what the version answered: a wrong explanation is never told."""


class LoadFailed(ModelManagerError):
    """One version cannot be served; `reason` is a short word fit for a metric label.

    The message is shown in the index and may quote what the version's own code said: bounded, and without secrets.
    """

    def __init__(self, reason: LoadFailureReason, message: str) -> None:
        super().__init__(without_secrets(message[:_MOST_SAID]))
        self.reason = reason


class StoreFailed(ModelManagerError):
    """A store of artifacts did not do what it was asked; `reason` is the one that a load would fail with.

    `again`: the same may succeed a moment later.
    """

    def __init__(self, reason: LoadFailureReason, message: str, *, again: bool = False) -> None:
        super().__init__(without_secrets(message[:_MOST_SAID]))
        self.reason = reason
        self.again = again


class QueryFailed(ModelManagerError):
    """What is asked over HTTP, Prometheus or a running server, cannot be reached, refuses, or is something else."""


class ServerRefused(ModelManagerError):
    """A running server that a command sends rows to cannot be reached, does not speak the protocol, or refuses.

    `status` is what it answered with, if it did.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ConfigurationError(ModelManagerError):
    """What the operator declared cannot be used."""


class SourceUnreadable(ConfigurationError):
    """The models folder is missing, empty of meaning, or cannot be read; what serves stays."""


class MountUnusable(ConfigurationError):
    """A file that the operator mounted, such as a key or a certificate, cannot be read or used."""


class KeysInvalid(ConfigurationError):
    """A file of API keys is refused as a whole; the message says where, and quotes no value."""


class ManifestInvalid(ConfigurationError):
    """models.yaml is refused as a whole; the message starts with the line and the key."""


class ChangeRefused(ConfigurationError):
    """A change of the wanted state cannot be made; the message says of which file, why, and what to do."""


class GatesFailed(ChangeRefused):
    """A version did not pass the gates of its evaluation, and is not made the default unless one insists."""


class LedgerUnreadable(ConfigurationError):
    """There is no ledger where one is asked, or it cannot be read."""


class PackageRefused(ConfigurationError):
    """A package cannot be written: the version exists, the sample does not fit, or the estimator would not serve."""


class VersionTaken(PackageRefused):
    """Somebody has published this version already, and not with these bytes."""


class TableRefused(ConfigurationError):
    """A file is no table that could be read for certain, or lacks what was asked of it; the message says where."""


class GateInvalid(ConfigurationError):
    """A condition on metrics cannot be read, or speaks of what there is not; the message says at which column."""


class ReportRefused(ConfigurationError):
    """A report cannot be drawn or written; the message says what is missing."""


class StartRefused(ConfigurationError):
    """The server cannot start: a wrong setting, a busy port, an unreadable folder."""
