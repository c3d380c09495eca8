"""The mounted folder → the wanted state. The only reader of the models folder.

Place in the flow: the manager calls `read` off the loop, on every file event and on a slow poll, and converges to what
it returns. Two kinds are read: a manifest (`models.yaml`) and a repository (`<model>/<version>/model.joblib`). A folder
that has shown a manifest stays of that kind, so that a manifest which vanishes for a moment unloads nothing.

Why a folder that changes yields one consistent state: the kubelet writes each generation of a ConfigMap into a new
folder, renames the link `..data` onto it, and only then deletes the old one. So `..data` is resolved once, everything
is read below that real path, and what was read counts only if `..data` still leads there afterwards.
"""

import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

from model_manager.errors import ConfigurationError, LoadFailed, SourceUnreadable
from model_manager.repository.changed_by import read_changed_by
from model_manager.repository.digests import Digests
from model_manager.repository.from_folders import read_repository_form
from model_manager.repository.from_manifest import MANIFEST, read_manifest_form
from model_manager.repository.generation import Generation
from model_manager.repository.manifest import Manifest, parse_manifest
from model_manager.repository.packages import ARTIFACT, ARTIFACT_LIMIT
from model_manager.repository.regular_files import Files, Limit
from model_manager.repository.wanted import Declaration, Ignored, WantedState, generation_of
from model_manager.repository.yaml_lines import LIMIT as MANIFEST_LIMIT

_ATTEMPTS = 10

logger = logging.getLogger(__name__)


class Source:
    """The folder of models, read whole each time. One reader at a time.

    `files` are those that may be opened; `artifact_limit` is the size from which on an artifact is not digested.
    """

    def __init__(self, folder: Path, files: Files | None = None, artifact_limit: Limit = ARTIFACT_LIMIT) -> None:
        self.folder = folder
        self._folder = os.path.abspath(folder)
        self._files = files or Files(self._folder)
        self._digests = Digests(artifact_limit)
        self._parsed: tuple[bytes, Manifest] | None = None
        self._told: frozenset[Ignored] = frozenset()
        self._warned: set[str] = set()

    def read(self) -> WantedState:
        """Read the wanted state. Blocking.

        Raises SourceUnreadable when the folder is missing, cannot be read or holds no model, and ManifestInvalid when
        models.yaml is refused; in both cases what serves should stay.
        """
        for _ in range(_ATTEMPTS):
            generation = Generation.of(self._folder)
            outcome = self._outcome(generation)
            if Generation.of(self._folder) != generation:
                continue  # whatever came out, a state or an error, may be that of a folder being deleted
            if isinstance(outcome, ConfigurationError):
                raise outcome
            self._digests.forget_unused()
            return outcome
        raise SourceUnreadable(f"{self._folder} was replaced {_ATTEMPTS} times while being read; it will be read again")

    def _outcome(self, generation: Generation) -> WantedState | ConfigurationError:
        try:
            return self._read(generation)
        except ConfigurationError as error:
            return error
        except FileNotFoundError:
            return SourceUnreadable(f"{self._folder} does not exist: mount a folder of models there, or set --models")
        except NotADirectoryError:
            return SourceUnreadable(f"{self._folder} is not a folder: give the folder that holds the models")
        except OSError as error:
            return SourceUnreadable(f"{error.filename or self._folder} cannot be read: {error.strerror or error}")

    def _read(self, generation: Generation) -> WantedState:
        files = self._files.resolved()
        try:
            text = files.read(os.path.join(generation.real, MANIFEST), MANIFEST_LIMIT)
        except FileNotFoundError:
            return self._read_without_manifest(generation, files)
        except LoadFailed as error:
            raise SourceUnreadable(str(error)) from None
        state = read_manifest_form(self._manifest(text), generation, files, self._digests)
        digest = hashlib.sha256(text).hexdigest()
        changed_by = read_changed_by(generation.real, files, manifest=digest, warned=self._warned)
        return replace(state, declared=Declaration(digest, text, changed_by))

    def _manifest(self, text: bytes) -> Manifest:
        # A poll that finds the same text need not validate it again.
        if self._parsed is None or self._parsed[0] != text:
            self._parsed = (text, parse_manifest(text, MANIFEST))
        return self._parsed[1]

    def _read_without_manifest(self, generation: Generation, files: Files) -> WantedState:
        if self._parsed is not None and os.path.isdir(generation.real):
            raise SourceUnreadable(
                f"{self._folder} no longer holds {MANIFEST}: put it back (with 'models: {{}}' to unload every model), "
                "or restart to read the folder as a repository"
            )
        state = read_repository_form(generation, files, self._digests)
        if not state.models:
            found = f"; ignored {state.ignored[0].path}: {state.ignored[0].why}" if state.ignored else ""
            raise SourceUnreadable(
                f"{self._folder} holds no model: neither {MANIFEST} nor any <model>/<version>/{ARTIFACT}{found}"
            )
        self._tell_ignored(state)
        return replace(state, declared=Declaration(generation_of(state.models)))

    def _tell_ignored(self, state: WantedState) -> None:
        for one in state.ignored:
            if one not in self._told:
                logger.warning("ignored %s: %s", one.path, one.why)
        self._told = frozenset(state.ignored)
