"""The chart as tests see it: rendered by a real Helm into documents that can be asked."""

import functools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

CHART = ROOT / "charts" / "model-manager"
MATRIX = [*sorted((CHART / "ci").glob("*-values.yaml")), *sorted((CHART / "examples").glob("*.yaml"))]

Document = dict[str, Any]


class Refused(Exception):
    """Helm ended with an error; the text is what it said."""


class Render:
    """The documents of one rendering."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.documents: list[Document] = [each for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each]

    def all(self, kind: str) -> list[Document]:
        """The documents of one kind, in order."""
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Document:
        """The only document of a kind, or the one whose name ends in `name`."""
        found = [each for each in self.all(kind) if name is None or each["metadata"]["name"].endswith(name)]
        assert len(found) == 1, f"{len(found)} of kind {kind} ({name})"
        return found[0]

    def kinds(self) -> set[str]:
        """What kinds there are."""
        return {document["kind"] for document in self.documents}


@dataclass(frozen=True)
class Helm:
    """One Helm."""

    program: Path

    def run(self, *arguments: str | Path, values: str | None = None) -> str:
        """Run a command, with values on its standard input; raises Refused with what Helm said."""
        home = str(self.program.with_suffix(".home"))
        done = subprocess.run(
            [self.program, *arguments, *(["--values", "-"] if values is not None else [])],
            env={"PATH": os.environ["PATH"], "HOME": home}  # without a home it would cache in the current folder
            | {f"HELM_{part}_HOME": home for part in ("CACHE", "CONFIG", "DATA")},
            input=values,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout

    def template(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        file: Path | None = None,
        sets: Mapping[str, str] | None = None,
        kubernetes: str = "1.37",
        name: str = "shop",
        namespace: str = "models",
        chart: Path = CHART,
        cluster: Path | None = None,
    ) -> Render:
        """Render the chart with values of a file, of a mapping and of --set, each over the one before.

        With a kubeconfig, `lookup` finds what is in that cluster, as it does when Helm installs or upgrades.
        """
        arguments: list[str | Path] = ["template", name, chart, "--namespace", namespace, "--kube-version", kubernetes]
        if file is not None:
            arguments += ["--values", file]
        for key, value in (sets or {}).items():
            arguments += ["--set", f"{key}={value}"]
        text = (
            None if values is None else json.dumps(dict(values))
        )  # yaml leaves `y` unquoted, which Helm takes for true
        if cluster is not None:
            arguments += ["--dry-run=server", "--disable-openapi-validation", "--kubeconfig", cluster]
            return Render(self.run(*arguments, values=text))
        return Render(_rendered(self, tuple(arguments), text))

    def refuses(
        self, sets: Mapping[str, str], values: Mapping[str, Any] | None = None, *, kubernetes: str = "1.37"
    ) -> str:
        """What Helm says to values that must be refused."""
        try:
            self.template(values, sets=sets, kubernetes=kubernetes)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"accepted: {dict(sets)}")


@functools.cache
def _rendered(helm: Helm, arguments: tuple[str | Path, ...], values: str | None) -> str:
    """Many tests look at the same rendering."""
    return helm.run(*arguments, values=values)


def environment(deployment: Document) -> dict[str, str]:
    """The settings that a Deployment's server reads from its variables."""
    env = container(deployment)["env"]
    return {each["name"]: each["value"] for each in env if each["name"].startswith("MODEL_MANAGER_")}


def container(deployment: Document) -> dict[str, Any]:
    """The server's container of a Deployment's pods."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    (found,) = [dict(each) for each in containers if each["name"] == "server"]
    return found


def leaves(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every value a schema describes: its dotted path, `*` for a name of the user's own, and what is said of it.

    What a track may say over the chart's own values is one value, not each of them again. A name of other charts, which
    is only there to be refused, is none.
    """
    if node.get("deprecated"):
        return
    free = node.get("additionalProperties")
    children: Mapping[str, Any] = node.get("properties", {})
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/").replace("properties/", "").replace("/", ".")
        yield path, f"As `{name}`, for this track."
    elif children and not all("$ref" in child for child in children.values()):
        for name, child in children.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    elif isinstance(free, Mapping) and ({"properties", "additionalProperties", "items"} & free.keys()):
        yield from leaves(free, f"{path}.*")
    elif node.get("items", {}).get("properties"):
        yield from leaves(node["items"], f"{path}[]")
    else:
        yield path, node["description"]
