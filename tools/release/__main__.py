"""The commands of a release, which the Makefile and the workflows run: python -m tools.release COMMAND."""

import shlex
from pathlib import Path

import click
from model_manager.version import __version__

from tools.processes import ROOT
from tools.release import building, cutting, publishing
from tools.release.commands import Refused, git
from tools.release.versions import Version

_REGISTRY = click.option(
    "--registry",
    metavar="HOST/PATH",
    help="Where the image will be, such as ghcr.io/acme: the chart's default names it.",
)
_SIGN_KEY = click.option("--sign-key", metavar="NAME", help="Sign the chart by this key of GnuPG.")
_KEYRING = click.option(
    "--keyring",
    type=click.Path(exists=True, path_type=Path),
    help="The keyring with that key, as --export-secret-keys writes it.",
)
_PASSPHRASE = click.option(
    "--passphrase-file", type=click.Path(exists=True, path_type=Path), help="The file with that key's passphrase."
)


@click.group()
def release() -> None:
    """Make a release. Exit codes: 0 done, 1 refused, 2 wrong usage."""


@release.command()
@click.argument("version")
@click.option("--tested", metavar="COMMIT", help="Checks and tests passed on this commit, the one to be released.")
@click.option(
    "--for-real",
    is_flag=True,
    help="Keep the commit and the tag; without it everything is tried and nothing kept but files.",
)
@_REGISTRY
@_SIGN_KEY
@_KEYRING
@_PASSPHRASE
def cut(
    version: str,
    tested: str | None,
    for_real: bool,
    registry: str | None,
    sign_key: str | None,
    keyring: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Release a version of what is committed: tests, version and date, tag, files in build/release/VERSION."""
    wanted = Version.read(version)
    signing = _signing(sign_key, keyring, passphrase_file)
    cutting.check(ROOT, wanted)
    cutting.test(ROOT, tested)
    folder = ROOT / "build" / "release" / version
    _list(cutting.cut(ROOT, wanted, folder, registry=registry, signing=signing, for_real=for_real))
    branch = git(ROOT, "rev-parse", "--abbrev-ref", "HEAD")
    if for_real:
        click.echo(f"{wanted.tag} is tagged, here only. To publish it: git push --atomic origin {branch} {wanted.tag}")
    else:
        click.echo(f"A rehearsal: no commit, no tag. To keep them: make release VERSION={version} CUT=1")


@release.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--tag", help="The tag that this commit has; refused when it is of another version.")
@_REGISTRY
@_SIGN_KEY
@_KEYRING
@_PASSPHRASE
def build(
    folder: Path,
    tag: str | None,
    registry: str | None,
    sign_key: str | None,
    keyring: Path | None,
    passphrase_file: Path | None,
) -> None:
    """Make the files of the release that this checkout is, and its image."""
    version = Version.read(__version__)
    if tag is not None and tag != version.tag:
        raise Refused(f"the tag says {tag}, and this commit is {version.tag}")
    signing = _signing(sign_key, keyring, passphrase_file)
    _list(building.build(ROOT, version, folder, registry=registry, signing=signing))


@release.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--registry", required=True, metavar="HOST/PATH", help="Where to: image model-manager, chart charts/model-manager."
)
@click.option("--plain-http", is_flag=True, help="The registry has no TLS, such as one on this machine.")
@click.option("--cosign-key", help="Sign both by this key: whatever `cosign sign --key` takes.")
@click.option("--cosign-flags", default="", help="More flags for cosign.")
def publish(folder: Path, registry: str, plain_http: bool, cosign_key: str | None, cosign_flags: str) -> None:
    """Push the image and the chart that `cut` or `build` made, and name them by digest."""
    references = publishing.publish(
        Version.read(__version__),
        folder,
        registry,
        plain_http=plain_http,
        cosign_key=cosign_key,
        cosign_flags=shlex.split(cosign_flags),
    )
    for reference in references:
        click.echo(reference)


def _signing(key: str | None, keyring: Path | None, passphrase: Path | None) -> building.Signing | None:
    if key is None:
        return None
    if keyring is None:
        raise click.UsageError("--sign-key needs --keyring: Helm reads keys from no agent")
    return building.Signing(key, keyring.resolve(), None if passphrase is None else passphrase.resolve())


def _list(files: list[Path]) -> None:
    for file in files:
        click.echo(f"{file.stat().st_size:>10,}  {file}")


def main() -> None:
    """Run a command; one line says why there is no release."""
    try:
        release.main(prog_name="python -m tools.release")
    except Refused as refusal:
        click.echo(f"no release: {refusal}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
