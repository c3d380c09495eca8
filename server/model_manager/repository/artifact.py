"""Open a wanted version's artifact, and let nobody read from it before the operator's policy and its digest are met.

Place in the flow: the loader unpickles from the file this returns. The digest is taken through the same open file, so
there is no moment between the check and the use in which a path could come to mean other bytes.
"""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, TypeAlias

from model_manager.errors import LoadFailed
from model_manager.repository.digests import sha256_of
from model_manager.repository.location import scheme_of, without_credentials
from model_manager.repository.packages import READABLE, format_of
from model_manager.repository.policy import Policy
from model_manager.repository.signatures import Trust
from model_manager.repository.signed_files import check_signed
from model_manager.repository.wanted import WantedVersion

_MOST_NAMES: Final = 5

Opener: TypeAlias = Callable[[str, Policy], BinaryIO]
"""Opens one location for reading, as a seekable binary file. Raises LoadFailed or OSError."""


def open_local(path: str, policy: Policy) -> BinaryIO:
    """Open a file by its path, if the policy lets it be read. See Files.open for what it raises."""
    return policy.files.open(path, policy.artifact_limit)


FILE_ONLY: Mapping[str, Opener] = MappingProxyType({"file": open_local})


def open_artifact(wanted: WantedVersion, policy: Policy, openers: Mapping[str, Opener] = FILE_ONLY) -> BinaryIO:
    """Open the artifact at its first byte, held to the operator's policy and to its digest; the caller closes it.

    Blocking. Raises LoadFailed with the reason missing, unreadable, unsupported_scheme, not_allowed, too_large,
    digest_missing, digest_mismatch, unsigned, bad_signature or metadata_invalid.
    """
    place = without_credentials(wanted.location)
    scheme = scheme_of(wanted.location) or "file"
    opener = openers.get(scheme)
    if opener is None:
        known = ", ".join(sorted(openers))
        raise LoadFailed("unsupported_scheme", f"{place}: cannot fetch {scheme}:// (this server can: {known})")
    _check_declared(wanted, policy, place)
    try:
        file = opener(wanted.location, policy)
        try:
            if wanted.metadata_problem:
                raise LoadFailed("metadata_invalid", wanted.metadata_problem)
            digest = sha256_of(file)
            _check_digest(wanted, digest)
            if policy.trust is not None:
                _check_signature(wanted, policy, policy.trust, digest)
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


def _check_declared(wanted: WantedVersion, policy: Policy, place: str) -> None:
    """Check what needs no look at the artifact."""
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


def _check_signature(wanted: WantedVersion, policy: Policy, trust: Trust, digest: str) -> None:
    if scheme_of(wanted.location) is not None:
        place = without_credentials(wanted.location)
        raise LoadFailed("unsigned", f"{place}: signatures are read beside local artifacts only")
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
