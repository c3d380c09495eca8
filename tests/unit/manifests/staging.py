"""What the tests of manifests share: packages to put into ConfigMaps, and the command."""

import hashlib
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from model_manager.cli import cli

MANIFEST = """\
# what the shop serves
models:
  iris:
    default: "1"   # signed off by Ann
    versions:
      "1": {artifact: iris-1.joblib}
      "2": {artifact: iris-2.joblib}
"""


def run(*arguments: object, given: str | bytes | None = None) -> Result:
    """Run the command in this process."""
    return CliRunner(env={"COLUMNS": "120"}).invoke(cli, [*map(str, arguments)], input=given)


def refusal(code: int, *arguments: object, given: str | bytes | None = None) -> str:
    """What a command that ends with a code says, in its one line."""
    result = run(*arguments, given=given)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    return line.removeprefix("model-manager: ")


def package(repository: Path, model: str, version: str, artifact: bytes, **metadata: Any) -> Path:
    """Write a package whose artifact nobody loads."""
    folder = repository / model / version
    folder.mkdir(parents=True)
    (folder / "model.joblib").write_bytes(artifact)
    described = {"file": "model.joblib", "sha256": hashlib.sha256(artifact).hexdigest(), "bytes": len(artifact)}
    (folder / "metadata.json").write_text(
        json.dumps({"name": model, "version": version, "artifact": described, **metadata}, ensure_ascii=False),
        encoding="utf-8",
    )
    return folder
