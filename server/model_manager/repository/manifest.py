"""models.yaml: the wanted state of one server, as people write it. Read by source; refused as a whole or not at all.

A validated manifest still speaks of artifacts in the words of its author; source looks them up.
"""

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from model_manager.errors import ManifestInvalid
from model_manager.repository.location import local_path
from model_manager.repository.metadata import Metadata, Sha256
from model_manager.repository.wanted import NAME_PATTERN, version_order
from model_manager.repository.yaml_lines import Document, KeyPath, read_yaml

_UNKNOWN = "unknown key"
MOST_ROWS: Final = 10_000_000
LONGEST_DELAY_MS: Final = 60_000
LONGEST_TIMEOUT_MS: Final = 24 * 3_600_000
"""What is larger was meant in another unit, or to do harm."""

Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Percent = Annotated[int, Field(ge=0, le=100)]
_HEADER: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class VersionEntry(_Entry):
    """One version: where its artifact is, the digest it must have, and what metadata.json would say."""

    artifact: str
    sha256: Sha256 | None = None
    metadata: Metadata | None = None

    @field_validator("artifact")
    @classmethod
    def _can_be_looked_up(cls, artifact: str) -> str:
        local_path(artifact)
        return artifact

    @property
    def declared_sha256(self) -> str | None:
        """The digest the author vouches for, said beside the artifact or in the inline metadata."""
        described = self.metadata.artifact if self.metadata is not None else None
        return self.sha256 or (described.sha256 if described is not None else None)

    @property
    def metadata_json(self) -> bytes | None:
        """The inline metadata as metadata.json would hold it, in one canonical form however the YAML was written."""
        if self.metadata is None:
            return None
        plain = self.metadata.model_dump(mode="json", exclude_unset=True)
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


class BatchingEntry(_Entry):
    """How one model's requests are gathered; what is not said keeps its default."""

    max_rows: int | None = Field(default=None, ge=1, le=MOST_ROWS)
    max_queue_rows: int | None = Field(default=None, ge=1, le=MOST_ROWS)
    max_delay_ms: float | None = Field(default=None, ge=0, le=LONGEST_DELAY_MS, allow_inf_nan=False)


class ModelEntry(_Entry):
    """One model: its versions, the one that answers by default, and its limits."""

    versions: dict[Name, VersionEntry] = Field(min_length=1)
    default: str | None = None
    previous: str | None = None
    """The default before this one, which `model-manager rollback` returns to; it changes nothing of what is served."""
    batching: BatchingEntry | None = None
    timeout_ms: float | None = Field(default=None, gt=0, le=LONGEST_TIMEOUT_MS, allow_inf_nan=False)
    compile: Literal["auto", "off"] | None = None
    isolation: Literal["process", "none"] | None = None
    traffic: dict[Name, Percent] | None = Field(default=None, min_length=1)
    sticky: str | None = None
    shadow: str | None = None
    labels: dict[Name, str] | None = None
    """Names by which versions may be asked for, too: `champion: "2"`."""

    @field_validator("compile", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        return "off" if value is False else value  # what YAML makes of it without quotes

    @field_validator("sticky")
    @classmethod
    def _is_a_header(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(_HEADER, name):
            raise ValueError(f"{name!r} is not the name of a header, such as x-user-id")
        return name

    @property
    def default_version(self) -> str:
        """The declared default, or the version with the most traffic, or the newest one."""
        if self.default is not None:
            return self.default
        weights = self.traffic or {}
        return max(self.versions, key=lambda version: (weights.get(version, 0), version_order(version)))


class Manifest(_Entry):
    """The whole of models.yaml."""

    models: dict[Name, ModelEntry]


def parse_manifest(text: bytes, name: str = "models.yaml") -> Manifest:
    """Read and validate a manifest; `name` is what errors call it.

    Raises ManifestInvalid with the line, the key and what to do. `models: {}` is valid: it wants nothing.
    """
    document = read_yaml(text, name)
    if document.data is None:
        raise document.refusal((), "empty; write 'models: {}' to unload every model")
    try:
        manifest = Manifest.model_validate(document.data)
    except ValidationError as error:
        problems = [_explain(document, details) for details in error.errors(include_url=False)]
        raise _first(document, problems) from None
    if problems := list(_contradictions(manifest)):
        raise _first(document, problems)
    return manifest


def _contradictions(manifest: Manifest) -> Iterator[tuple[KeyPath, str]]:
    """What no single key is wrong about."""
    for name, model in manifest.models.items():
        path: KeyPath = ("models", name)
        listed = ", ".join(sorted(model.versions, key=version_order))
        for key, version in (("default", model.default), ("previous", model.previous)):
            if version is not None and version not in model.versions:
                yield (*path, key), f"{version!r} is not among the versions ({listed})"
        yield from _contradictions_of_names(path, model)
        for version, entry in model.versions.items():
            at = (*path, "versions", version)
            if local_path(entry.artifact) is None and entry.declared_sha256 is None:
                yield (*at, "artifact"), "a remote artifact needs a sha256 beside it (sha256sum prints it)"
            described = entry.metadata.artifact if entry.metadata is not None else None
            if entry.sha256 is not None and described is not None and described.sha256 != entry.sha256:
                yield (*at, "metadata", "artifact", "sha256"), "differs from the version's own sha256"


def _contradictions_of_names(path: KeyPath, model: ModelEntry) -> Iterator[tuple[KeyPath, str]]:
    listed = ", ".join(sorted(model.versions, key=version_order))
    for version in model.traffic or ():
        if version not in model.versions:
            yield (*path, "traffic", version), f"{version!r} is not among the versions ({listed})"
    if model.traffic is not None and (sum_of_weights := sum(model.traffic.values())) != 100:
        yield (*path, "traffic"), f"the weights are percent and add up to {sum_of_weights}, not to 100"
    for label, version in (model.labels or {}).items():
        if version not in model.versions:
            yield (*path, "labels", label), f"{version!r} is not among the versions ({listed})"
        elif label in model.versions:
            yield (*path, "labels", label), "is the name of a version: a label needs one of its own"
    if model.shadow is not None and model.shadow not in model.versions:
        yield (*path, "shadow"), f"{model.shadow!r} is not among the versions ({listed})"


def _first(document: Document, problems: list[tuple[KeyPath, str]]) -> ManifestInvalid:
    # A misspelt key is often a missing one too; the misspelling is the one to tell.
    path, problem = min(problems, key=lambda each: (not each[1].startswith(_UNKNOWN), document.line_of(each[0])))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return document.refusal(path, problem + more)


def _explain(document: Document, details: ErrorDetails) -> tuple[KeyPath, str]:
    """Where a validation error is, as a path of the document, and what it means in words."""
    path, value = _path_in(document.data, details["loc"]), details["input"]
    match details["type"]:
        case "extra_forbidden":
            return path, _UNKNOWN + _suggestion(path)
        case "missing":
            return path, "is required"
        case "string_type" if _is_unquoted(value):
            return path, f'must be text: write "{value}" in quotes'
        case "string_pattern_mismatch" if path[-1] == "sha256":
            return path, "must be 64 lower-case hex digits (sha256sum prints them)"
        case "string_pattern_mismatch":
            return path, "is not a name: letters, digits, '-', '_' and '.', not starting with '.', at most 128"
        case "too_short":
            return path, "must hold at least one"
        case "model_type" | "dict_type":
            return path, "must be a mapping of keys"
        case "value_error":
            return path, str(details["ctx"]["error"])
    return path, details["msg"].replace("Input should be", "must be")


def _path_in(data: Any, loc: tuple[int | str, ...]) -> KeyPath:
    """Keep of a pydantic location what is a key of the document, or a key missing at its end; drop names of types."""
    path: list[int | str] = []
    for index, part in enumerate(loc):
        if _holds(data, part):
            data = data[part]
            path.append(part)
        elif isinstance(data, Mapping) and index == len(loc) - 1 and part != "[key]":
            path.append(part)
    return tuple(path)


def _holds(data: object, part: int | str) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, Mapping) and part in data


def _suggestion(path: KeyPath) -> str:
    match path[:-1]:
        case ():
            known = Manifest.model_fields
        case ("models", _):
            known = ModelEntry.model_fields
        case ("models", _, "versions", _):
            known = VersionEntry.model_fields
        case ("models", _, "batching"):
            known = BatchingEntry.model_fields
        case ("models", _, "versions", _, "metadata"):
            known = Metadata.model_fields
        case _:
            return ""
    close = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(known)})"


def _is_unquoted(value: object) -> bool:
    # What YAML makes of a bare 2, 1.0, yes or 2026-11-02; containers and null are a different mistake.
    return not isinstance(value, dict | list | type(None)) and not (isinstance(value, float) and math.isnan(value))
