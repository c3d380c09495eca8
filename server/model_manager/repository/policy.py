"""What the operator demands of every artifact, whoever wrote the models folder: its place, its format, its signer.

Place in the flow: made of the settings at start; `open_artifact` holds every version to it. Nothing that comes with a
model, neither the manifest nor metadata nor the artifact, has a word in it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from model_manager.errors import LoadFailed, StartRefused
from model_manager.repository.packages import ARTIFACT_LIMIT, Format
from model_manager.repository.regular_files import Files, Limit
from model_manager.repository.signatures import Trust
from model_manager.settings import Settings

FORMATS: Final[tuple[Format, ...]] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Policy:
    """The demands. `trust` says whose signature is asked for, None: nobody's. `skops_trusted`: names of types."""

    files: Files
    artifact_limit: Limit = ARTIFACT_LIMIT
    formats: tuple[Format, ...] = FORMATS
    require_digest: bool = False
    trust: Trust | None = None
    skops_trusted: tuple[str, ...] = ()

    @staticmethod
    def from_settings(settings: Settings) -> "Policy":
        """Read the demands. Raises StartRefused for a setting that says nothing, and a key that cannot be read."""
        roots = _listed(settings.artifact_roots)
        for root in roots:
            if not os.path.isabs(root):
                raise StartRefused(f"--artifact-roots {root}: give absolute paths, separated by commas")
        formats = _listed(settings.allowed_formats)
        if not formats or set(formats) - set(FORMATS):
            raise StartRefused(f"--allowed-formats {settings.allowed_formats}: choose of {', '.join(FORMATS)}")
        return Policy(
            files=Files(
                os.path.abspath(settings.models),
                tuple(os.path.normpath(root) for root in roots),
                _owners(settings.artifact_owners),
                writable=not settings.refuse_writable,
            ),
            artifact_limit=Limit(settings.max_artifact_mb * 2**20, ARTIFACT_LIMIT.advice),
            formats=tuple(each for each in FORMATS if each in formats),
            require_digest=settings.require_digest,
            trust=_trust(settings),
            skops_trusted=_listed(settings.skops_trusted),
        )


def _trust(settings: Settings) -> Trust | None:
    key, certificate = settings.signature_key, settings.signature_certificate
    if not key and not certificate:
        return None
    if key and certificate:
        raise StartRefused("--signature-key and --signature-certificate: give one of them")
    trust = Trust(key=Path(key)) if key else Trust(certificates=Path(certificate))
    try:
        trust.check()
    except LoadFailed as error:
        raise StartRefused(f"{'--signature-key' if key else '--signature-certificate'}: {error}") from None
    return trust


def _owners(text: str) -> frozenset[int] | None:
    listed = _listed(text)
    try:
        return frozenset(map(int, listed)) if listed else None
    except ValueError:
        raise StartRefused(f"--artifact-owners {text}: give numeric user ids, separated by commas") from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for each in text.split(",") if (part := each.strip()))
