"""The files of a release, made of a checkout that is at its commit: sdist, wheel, image, bill of materials, chart."""

import hashlib
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.release.changelog import notes
from tools.release.commands import Refused, git, helm, run
from tools.release.versions import Version

SUMS = "SHA256SUMS"
NOTES = "release-notes.md"
_CHART = Path("charts") / "model-manager"


@dataclass(frozen=True)
class Signing:
    """A key of GnuPG that signs the chart: its name, the keyring of secret keys, and the file of its passphrase."""

    key: str
    keyring: Path
    passphrase: Path | None

    def flags(self) -> list[str | Path]:
        """As `helm package` takes them."""
        flags: list[str | Path] = ["--sign", "--key", self.key, "--keyring", self.keyring]
        return flags if self.passphrase is None else [*flags, "--passphrase-file", self.passphrase]


def build(root: Path, version: Version, folder: Path, *, registry: str | None, signing: Signing | None) -> list[Path]:
    """Make every file of a release in an empty folder, and its image; returns the files, SHA256SUMS last.

    `registry` is where the image will be: the chart's default names it. Raises Refused.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty: remove it, what lies there may be of another commit")
    folder.mkdir(parents=True, exist_ok=True)
    _distributions(root, folder)
    _image(root, version, folder)
    _chart(root, folder, registry, signing)
    files = sorted(folder.iterdir())
    sums = folder / SUMS
    sums.write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")
    (folder / NOTES).write_text(notes((root / "CHANGELOG.md").read_text(encoding="utf-8"), version), encoding="utf-8")
    return [*files, sums]


def _distributions(root: Path, folder: Path) -> None:
    """Source and wheel, the same bytes from the same commit: their times are the commit's."""
    when = {"SOURCE_DATE_EPOCH": git(root, "show", "--no-patch", "--format=%ct", "HEAD")}
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder.resolve(), cwd=root, variables=when)


def _image(root: Path, version: Version, folder: Path) -> None:
    """The image stays with what builds containers, as model-manager:<version>; its bill of materials is a file."""
    image = ["make", "--no-print-directory", "image", "sbom", f"IMAGE=model-manager:{version}"]
    run(*image, cwd=root)
    shutil.copy(root / "build" / "sbom" / "model-manager.cdx.json", folder / f"model-manager-{version}.cdx.json")


def _chart(root: Path, folder: Path, registry: str | None, signing: Signing | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        chart = Path(shutil.copytree(root / _CHART, Path(temporary) / _CHART.name))
        if registry is not None:
            values = chart / "values.yaml"
            text = values.read_text(encoding="utf-8")
            named, count = re.subn(
                r"^  repository: model-manager$", f"  repository: {registry}/model-manager", text, flags=re.M
            )
            if count != 1:
                raise Refused(f"{_CHART}/values.yaml: no line names the image to set it to that of {registry}")
            values.write_text(named, encoding="utf-8")
        signed = [] if signing is None else signing.flags()
        run(helm(), "package", chart, "--destination", folder.resolve(), *signed, cwd=root)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
