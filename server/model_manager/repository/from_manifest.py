"""The models folder with a manifest: what models.yaml names, looked up.

Place in the flow: called by source with a validated manifest. A version whose artifact is not there stays wanted, with
no digest: it fails alone, and what serves in its place goes on.
"""

import os

from model_manager.repository.digests import Digests
from model_manager.repository.generation import Generation
from model_manager.repository.location import local_path
from model_manager.repository.manifest import BatchingEntry, Manifest, ModelEntry, VersionEntry
from model_manager.repository.packages import Described, declared_sha256, metadata_path, read_metadata
from model_manager.repository.regular_files import Files
from model_manager.repository.wanted import Batching, ServableId, WantedModel, WantedState, WantedVersion

MANIFEST = "models.yaml"


def read_manifest_form(manifest: Manifest, generation: Generation, files: Files, digests: Digests) -> WantedState:
    """Look up every version that a manifest names: its artifact's digest, and its metadata."""
    models = {name: _model(name, entry, generation, files, digests) for name, entry in manifest.models.items()}
    return WantedState(models)


def _model(name: str, entry: ModelEntry, generation: Generation, files: Files, digests: Digests) -> WantedModel:
    versions = {
        version: _version(ServableId(name, version), entry, declared, generation, files, digests)
        for version, declared in entry.versions.items()
    }
    return WantedModel(
        name,
        entry.default_version,
        versions,
        traffic=entry.traffic or {},
        sticky=(entry.sticky or "").lower(),
        shadow=entry.shadow or "",
        labels=entry.labels or {},
    )


def _version(
    id: ServableId,
    model: ModelEntry,
    declared: VersionEntry,
    generation: Generation,
    files: Files,
    digests: Digests,
) -> WantedVersion:
    path = local_path(declared.artifact)
    metadata, problem = Described(declared.metadata_json)
    if path is None:  # the bytes are elsewhere; what is declared of them has to do until they are fetched
        location, digest = declared.artifact, declared.declared_sha256
    else:
        location, artifact = os.path.join(generation.stable, path), os.path.join(generation.real, path)
        digest = digests.of(artifact, files)
        if metadata is None:
            metadata, problem = read_metadata(metadata_path(artifact), files)
    return WantedVersion(
        id=id,
        location=location,
        sha256=declared.sha256 or declared_sha256(metadata),
        digest=digest,
        metadata=metadata,
        batching=_batching(model.batching),
        timeout_ms=model.timeout_ms,
        compile=None if model.compile is None else model.compile == "auto",
        metadata_problem=problem,
        isolated=model.isolation == "process",
    )


def _batching(entry: BatchingEntry | None) -> Batching:
    return Batching() if entry is None else Batching(**entry.model_dump(exclude_none=True))
