"""Where a rollout finds the manifest, and puts it back: a file, or a ConfigMap by way of kubectl.

In the flow: `model-manager rollout` → **places** → manifests (the text, and a file's writing), or kubectl.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from model_manager.errors import ConfigurationError
from model_manager.manifests.holding import Holder, read_holder
from model_manager.manifests.provenance import ChangedBy
from model_manager.manifests.traffic_editing import entry_of, set_traffic, weights_of
from model_manager.manifests.writing import write_manifest

_CONFIG_MAP: Final = "configmap/"
_PATIENCE_S: Final = 60


class Place(Protocol):
    """Something that holds the text of a manifest. `name` is what errors call it."""

    name: str

    def read(self) -> str:
        """The text, as it is now."""

    def write(self, text: str) -> None:
        """Put another in place of the one that was read last, unless somebody else changed it since."""


class FilePlace:
    """A manifest as a file, or a file with a ConfigMap that holds one."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def read(self) -> str:
        """Raises ConfigurationError where it cannot be read."""
        try:
            self._content = self._path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{self.name} cannot be read: {error.strerror}") from None
        self._holder = read_holder(self._content, self.name, self._path.absolute().parent)
        return _text_of(self._holder, self.name)

    def write(self, text: str) -> None:
        """Raises ConfigurationError."""
        write_manifest(self._path, self._content, self._holder, text.encode(), None)


class ConfigMapPlace:
    """The key models.yaml of a ConfigMap in a cluster. The API server refuses a change of what is out of date."""

    def __init__(self, name: str, namespace: str | None) -> None:
        self.name = f"{_CONFIG_MAP}{name}"
        self._command = ["kubectl", *(["--namespace", namespace] if namespace is not None else [])]

    def read(self) -> str:
        """Raises ConfigurationError where it cannot be read, or has no such key."""
        self._holder = read_holder(self._run(["get", self.name, "--output", "json"]).encode(), self.name, None)
        return _text_of(self._holder, self.name)

    def write(self, text: str) -> None:
        """Raises ConfigurationError."""
        self._run(["replace", "--filename", "-"], self._holder.holding(text.encode(), ChangedBy.now()).decode())

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


def _text_of(holder: Holder, name: str) -> str:
    try:
        return holder.manifest.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name} cannot be read: {error}") from None


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
