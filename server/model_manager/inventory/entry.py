"""One version as it is listed: where it lies or serves, what became of it, where it comes from, how good and how whole.

In the flow: in_repository and running_server make entries → **entry** → the commands `list`, `show` and `verify`.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from model_manager.repository.metadata import Metadata

DigestState = Literal["ok", "differs", "undeclared", "unreadable"]


class Integrity(msgspec.Struct, frozen=True):
    """Whether the artifact is the one that was declared.

    `digest`: "unreadable" where there is nothing to digest. `signed_by`: who a signature says it is of, in words;
    `verified`: whether it was verified, None where nobody asked for that.
    """

    digest: DigestState
    signed_by: str | None = None
    verified: bool | None = None


class Entry(msgspec.Struct, frozen=True):
    """One version. What is not known is None.

    `state`: of a server the words of its index; of a repository "OK", "BROKEN" or "IGNORED"; `reason` says why.
    `default`: it answers, or would answer, requests that name no version. `data`: of the training data what is known,
    as metadata.json names it. `serves_at`: the servers among those asked on which these bytes are ready.
    """

    model: str
    version: str
    state: str
    reason: str = ""
    default: bool = False
    location: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    created: str | None = None
    data: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] | None = None
    integrity: Integrity | None = None
    form: str | None = None
    serves_at: tuple[str, ...] | None = None

    def document(self) -> dict[str, Any]:
        """The entry for machines: every key, always."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


def headline(evaluation: Mapping[str, Any] | None) -> str:
    """The first metric of an evaluation, in words; empty where there is none."""
    metrics = (evaluation or {}).get("metrics") or {}
    return next((f"{name} {value:.3f}" for name, value in metrics.items()), "")


def described_by(metadata: Metadata) -> dict[str, Any]:
    """The fields of an entry that metadata tells."""
    said = metadata.model_dump(mode="json", exclude_none=True)
    return {name: said.get(name) for name in ("created", "data", "evaluation")}
