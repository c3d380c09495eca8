"""Open a wanted version's artifact, and let nobody read from it before the operator's policy and its digest are met.

Place in the flow: the loader unpickles from the file this returns. The digest is taken through the same open file, so
there is no moment between the check and the use in which a path could come to mean other bytes.
"""

import os
from typing import BinaryIO, Final, NamedTuple

from model_manager.errors import LoadFailed
from model_manager.repository.digests import sha256_of
from model_manager.repository.location import scheme_of, without_credentials
from model_manager.repository.packages import READABLE, format_of
from model_manager.repository.policy import Policy
from model_manager.repository.signatures import Trust
from model_manager.repository.signed_files import check_signed, check_signed_pair
from model_manager.repository.wanted import WantedVersion

_MOST_NAMES: Final = 5


class Fetched(NamedTuple):
    """A remote artifact that is here now, open as a seekable file, and the signature that lay beside it, if any."""

    file: BinaryIO
    signature: bytes | None = None


def open_artifact(wanted: WantedVersion, policy: Policy, fetched: Fetched | None = None) -> BinaryIO:
    """Open the artifact at its first byte, held to the operator's policy and to its digest; the caller closes it.

    `fetched`: the file to read where the artifact is remote, for which check_declared was asked already; it is closed
    where this raises. Blocking. Raises LoadFailed with the reason missing, unreadable, unsupported_scheme, not_allowed,
    too_large, digest_missing, digest_mismatch, unsigned, bad_signature or metadata_invalid.
    """
    place = without_credentials(wanted.location)
    scheme = scheme_of(wanted.location)
    if fetched is None:
        if scheme not in (None, "file"):
            raise LoadFailed("unsupported_scheme", f"{place}: cannot fetch {scheme}://")
        check_declared(wanted, policy, place)
    try:
        file = fetched.file if fetched is not None else policy.files.open(wanted.location, policy.artifact_limit)
        try:
            if wanted.metadata_problem:
                raise LoadFailed("metadata_invalid", wanted.metadata_problem)
            digest = sha256_of(file)
            _check_digest(wanted, digest)
            if policy.trust is not None:
                _check_signature(wanted, policy, policy.trust, digest, fetched)
            file.seek(0)
        except BaseException:
            file.close()
            raise
    except (FileNotFoundError, NotADirectoryError):
        raise LoadFailed("missing", f"{place}: there is no such file; {_found_instead(wanted.location)}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise LoadFailed("unreadable", f"{place}: cannot be read: {reason}") from error
    return file


def check_declared(wanted: WantedVersion, policy: Policy, place: str) -> None:
    """Check what needs no look at the artifact. Raises LoadFailed "not_allowed" or "digest_missing"."""
    format = format_of(wanted.location)
    if format not in policy.formats:
        allowed = ", ".join(policy.formats)
        message = f"{place}: {format} is not among the formats that the operator allows (--allowed-formats {allowed})"
        raise LoadFailed("not_allowed", message)
    if policy.require_digest and wanted.sha256 is None and policy.trust is None:
        raise LoadFailed(
            "digest_missing",
            f"{place}: no sha256 is declared, neither in models.yaml nor in metadata.json, and the operator asks for "
            "one (--require-digest): sha256sum prints it",
        )


def _check_signature(wanted: WantedVersion, policy: Policy, trust: Trust, digest: str, fetched: Fetched | None) -> None:
    if fetched is not None:
        place = without_credentials(wanted.location)
        check_signed_pair(place, fetched.signature, digest=digest, metadata=wanted.metadata, trust=trust)
        return
    check_signed(
        wanted.location,
        digest=digest,
        metadata=wanted.metadata,
        trust=trust,
        files=policy.files,
        limit=policy.artifact_limit,
    )


def _found_instead(location: str) -> str:
    """Say what lies where an artifact should, and what to do."""
    folder, wanted = os.path.split(location)
    try:
        names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".") and not name.endswith(".json")]
    except OSError:
        names = []
    if not names:
        return "check `artifact`, or copy it there"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    found = ", ".join(names[:_MOST_NAMES]) + more
    if any(name.lower().endswith(READABLE) for name in names):
        return f"found {found}: check `artifact`, or name the right one {wanted}"
    return f"found {found}: write the model with joblib.dump, as {wanted}"


def _check_digest(wanted: WantedVersion, found: str) -> None:
    place = without_credentials(wanted.location)
    if wanted.sha256 is not None and found != wanted.sha256:
        raise LoadFailed(
            "digest_mismatch",
            f"{place}: sha256 {wanted.sha256[:12]}… was declared, the file has {found[:12]}…; "
            "publish the file that was declared, or declare this one's digest (sha256sum prints it)",
        )
    if found != wanted.digest:
        raise LoadFailed("digest_mismatch", f"{place}: changed while being read, will be read again")
