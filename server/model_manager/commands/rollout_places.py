"""Where a rollout finds the manifest, and puts it back: a file, or a ConfigMap by way of kubectl.

In the flow: `model-manager rollout` → **places** → manifests (the text), rename or kubectl.
"""

import json
import os
import stat
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from model_manager.errors import ConfigurationError
from model_manager.manifests.traffic_editing import entry_of, set_traffic, weights_of

_CONFIG_MAP: Final = "configmap/"
_MANIFEST: Final = "models.yaml"
_PATIENCE_S: Final = 60


class Place(Protocol):
    """Something that holds the text of a manifest. `name` is what errors call it."""

    name: str

    def read(self) -> str:
        """The text, as it is now."""

    def write(self, text: str) -> None:
        """Put another in place of the one that was read last, unless somebody else changed it since."""


class FilePlace:
    """A manifest as a file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._content = b""

    def read(self) -> str:
        """Raises ConfigurationError where it cannot be read."""
        try:
            self._content = self._path.read_bytes()
            return self._content.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self.name} cannot be read: {getattr(error, 'strerror', error)}") from None

    def write(self, text: str) -> None:
        """Write it beside, and rename: whoever looks sees the one or the other. Raises ConfigurationError."""
        target = Path(os.path.realpath(self._path))
        beside = target.with_name(f"..{target.name}.{uuid.uuid4().hex[:8]}")
        try:
            try:
                with open(beside, "xb") as file:
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                    file.write(text.encode("utf-8"))
                    file.flush()
                    os.fsync(file.fileno())
                if target.read_bytes() != self._content:
                    raise ConfigurationError(f"{self.name} was changed by somebody else; run the command again")
                beside.rename(target)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{self.name} cannot be written: {error.strerror}") from None


class ConfigMapPlace:
    """The key models.yaml of a ConfigMap in a cluster. The API server refuses a change of what is out of date."""

    def __init__(self, name: str, namespace: str | None) -> None:
        self.name = f"{_CONFIG_MAP}{name}"
        self._command = ["kubectl", *(["--namespace", namespace] if namespace is not None else [])]
        self._object: dict[str, Any] = {}

    def read(self) -> str:
        """Raises ConfigurationError where it cannot be read, or has no such key."""
        self._object = json.loads(self._run(["get", self.name, "--output", "json"]))
        text = (self._object.get("data") or {}).get(_MANIFEST)
        if not isinstance(text, str):
            raise ConfigurationError(f"{self.name} has no key {_MANIFEST} in its data")
        return text

    def write(self, text: str) -> None:
        """Raises ConfigurationError."""
        self._object["data"][_MANIFEST] = text
        self._object["metadata"].pop("managedFields", None)
        self._run(["replace", "--filename", "-"], json.dumps(self._object))

    def _run(self, arguments: list[str], sent: str = "") -> str:
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                input=sent,
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except FileNotFoundError:
            raise ConfigurationError("kubectl is not installed; give the manifest as a file instead") from None
        except subprocess.TimeoutExpired:
            raise ConfigurationError(f"kubectl {arguments[0]} {self.name} takes over {_PATIENCE_S} s") from None
        if done.returncode:
            raise ConfigurationError(f"kubectl {arguments[0]} {self.name}: {' '.join(done.stderr.split())}")
        return done.stdout


def place_of(named: str, namespace: str | None) -> Place:
    """The place that a person named: configmap/NAME, or a path."""
    if named.startswith(_CONFIG_MAP):
        return ConfigMapPlace(named.removeprefix(_CONFIG_MAP), namespace)
    return FilePlace(Path(named))


class WeightsOf:
    """The weights of one model, in the manifest at a place."""

    def __init__(self, place: Place, model: str) -> None:
        self._place = place
        self._model = model

    def read(self) -> Mapping[str, int]:
        """Raises ConfigurationError."""
        return weights_of(entry_of(self._place.read(), self._model, self._place.name))

    def write(self, weights: Mapping[str, int]) -> None:
        """Raises ConfigurationError."""
        self._place.write(set_traffic(self._place.read(), self._model, weights, self._place.name))
