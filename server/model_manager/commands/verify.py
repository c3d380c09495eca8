"""`model-manager verify`: are the versions what their authors declared, and signed by whom is trusted?

In the flow: cli → **verify** → inventory, packaging/signing, serving/proving. What takes long to import is imported
when it runs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_manager.commands.asking import entries_of, plain, server_options
from model_manager.commands.signing import tell_signed
from model_manager.commands.terminal import fail, json_option, new_table, print_json, print_table, working
from model_manager.errors import LoadFailed, PackageRefused

if TYPE_CHECKING:
    from model_manager.inventory.entry import Entry
    from model_manager.inventory.verification import Verified
    from model_manager.repository.signatures import Trust

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_EPILOG = """\b
Exit codes:
  0  every version is what was declared, and signed by whom is trusted where that was asked
  1  one is not
  2  wrong usage, or there is nothing to verify
  3  cannot tell: nothing is wrong, but a version declares no digest

\b
Examples:
  model-manager verify build/models
  model-manager verify build/models/iris/2 --key key.pub.pem
  model-manager verify build/models/iris/2 --cert authority.pem --json
  model-manager verify build/models --load
  model-manager verify --url http://localhost:8080

Of a repository: each artifact has the digest and the size that its metadata.json declares, and that reads as one, of
this model and version. With --key or --cert: every file is covered by a signature, as a server would verify it; so for
a model's file beside its metadata. With --load: it is loaded, which runs its code, and gives the answers its author
saw. Of a server: every version it knows of is ready, with no warning.
"""


@click.command(epilog=_EPILOG)
@click.argument("what", metavar="[REPO[/N[/V]]]", required=False)
@server_options
@click.option("--key", type=_FILE, help="Public key in PEM.")
@click.option("--cert", type=_FILE, help="Certificates in PEM: of authorities, or of who signs.")
@click.option("--load", is_flag=True, help="Load each version, which runs its code, and ask it its golden rows.")
@click.option("--skops-trusted", default="", metavar="TYPES", help="With --load: types that skops artifacts may hold.")
@json_option
def verify(
    what: str | None,
    url: str | None,
    api_key_file: Path | None,
    api_key: str | None,
    key: Path | None,
    cert: Path | None,
    load: bool,
    skops_trusted: str,
    as_json: bool,
) -> None:
    """Verify that versions are what was declared: digests, metadata, signatures, and golden rows where asked."""
    if key is not None and cert is not None:
        raise click.UsageError("give --key, or --cert")
    if url is not None and (key or cert or load):
        raise click.UsageError("--key, --cert and --load are for files: name the repository instead of --url")
    trust = _trust(key, cert)
    if what is not None and url is None and trust is not None and not load and _is_one(Path(what)):
        _verify_one(Path(what), trust, as_json)
        return
    entries = entries_of(what, url, api_key_file, api_key, trust=trust)
    trusted_types = tuple(filter(None, map(str.strip, skops_trusted.split(","))))
    _tell(_judged(entries, trusted_types if load else None), as_json)


def _trust(key: Path | None, cert: Path | None) -> "Trust | None":
    from model_manager.repository.signatures import Trust

    if key is None and cert is None:
        return None
    trust = Trust(key=key, certificates=cert)
    try:
        trust.check()
    except LoadFailed as error:
        fail(f"{error.reason}: {error}", 1)
    return trust


def _is_one(path: Path) -> bool:
    """Whether a path means one package, or an artifact with its metadata beside it, or nothing."""
    from model_manager.repository.packages import artifact_name

    return not path.is_dir() or artifact_name(str(path)) is not None


def _verify_one(package: Path, trust: "Trust", as_json: bool) -> None:
    """Verify the signature of one package as a server would, and that it is whole."""
    from model_manager.packaging.signing import verify_package

    try:
        verified = verify_package(package, trust)
        if package.is_dir():
            _refuse_broken(package)
    except PackageRefused as error:
        fail(str(error), 2)
    except LoadFailed as error:
        if as_json:
            print_json({"verified": False, "reason": error.reason, "problem": str(error)})
        fail(f"{error.reason}: {error}", 1)
    tell_signed(verified, "verified", as_json)


def _refuse_broken(package: Path) -> None:
    """Raise LoadFailed for a package that was signed as it is, and would not load."""
    from model_manager.inventory.in_repository import entry_of, read_package

    place = package.absolute()
    entry = entry_of(read_package(place.parent.parent, place.parent.name, place.name))
    if entry.state == "BROKEN":
        raise LoadFailed(
            "digest_mismatch" if "digest_mismatch" in entry.reason else "metadata_invalid",
            entry.reason.partition(": ")[2],
        )


def _judged(entries: "Sequence[Entry]", skops_trusted: tuple[str, ...] | None) -> "list[Verified]":
    """Judge every version; each is loaded first where `skops_trusted` says which types may be."""
    from model_manager.inventory.verification import verdict

    if skops_trusted is None:
        return [verdict(one) for one in entries]
    judged = []
    with working("loading") as tell:
        for one in entries:
            if one.state != "OK":
                judged.append(verdict(one))
                continue
            tell(f"loading {one.model}/{one.version}")
            try:
                judged.append(verdict(one, golden=_proven(one, skops_trusted)))
            except LoadFailed as error:
                if isinstance(error.__cause__, KeyboardInterrupt):
                    raise error.__cause__ from None
                judged.append(verdict(one, golden="failed", failure=f"{error.reason}: {error}"))
    return judged


def _proven(one: "Entry", skops_trusted: tuple[str, ...]) -> str:
    """Load a version and hold it to its golden rows, as a server does. Raises LoadFailed."""
    from model_manager.repository.packages import ARTIFACT_LIMIT, METADATA, format_of, read_metadata
    from model_manager.repository.regular_files import Files
    from model_manager.serving.proving import Reading, contained, prove, read

    assert one.location is not None, "what lies in a repository has a location"
    artifact = Path(one.location)
    files = Files(str(artifact.parent))
    text, problem = read_metadata(str(artifact.parent / METADATA), files)
    if problem:
        raise LoadFailed("metadata_invalid", problem)
    reading = Reading(format_of(artifact.name), text, "refuse", skops_trusted, ARTIFACT_LIMIT.bytes)
    try:
        with files.open(str(artifact), ARTIFACT_LIMIT) as file:
            loaded, metadata = contained("reading it", read, file, reading)
    except OSError as error:
        raise LoadFailed("unreadable", f"{artifact} cannot be read: {error.strerror}") from error
    contained("proving it", prove, loaded, metadata)
    return f"{len(metadata.golden.instances)} hold" if metadata.golden is not None else "none; it answers"


def _tell(verified: "Sequence[Verified]", as_json: bool) -> None:
    from model_manager.inventory.verification import EXIT_CODES, overall

    answer = overall(verified)
    if as_json:
        rows = [
            one.entry.document() | {"answer": one.answer, "problem": one.problem, "golden": one.golden}
            for one in verified
        ]
        print_json({"verified": {"holds": True, "does not hold": False}.get(answer), "versions": rows})
        sys.exit(EXIT_CODES[answer])
    golden = any(one.golden for one in verified)
    table = new_table(
        None, ["model", "version", "state", "digest", "signed by", *(["golden rows"] if golden else []), "verdict"]
    )
    for one in verified:
        integrity = one.entry.integrity
        cells: list[Any] = [
            one.entry.model,
            one.entry.version,
            one.entry.state,
            integrity.digest if integrity is not None else (one.entry.sha256 or "")[:12],
            _signer(one.entry),
            *([one.golden or ""] if golden else []),
            one.answer,
        ]
        table.add_row(*map(plain, cells))
    print_table(table)
    for one in verified:
        if one.problem:
            click.echo(f"{'/'.join(filter(None, (one.entry.model, one.entry.version)))}: {one.problem}")
    sys.exit(EXIT_CODES[answer])


def _signer(one: "Entry") -> str:
    integrity = one.integrity
    if integrity is None or integrity.signed_by is None:
        return ""
    return f"{integrity.signed_by} ({'verified' if integrity.verified else 'not verified'})"
