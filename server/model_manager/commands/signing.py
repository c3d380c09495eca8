"""`model-manager sign`: the command, what it prints, and its exit codes.

What takes long to import is imported when it runs.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.terminal import fail, json_option
from model_manager.errors import PackageRefused

if TYPE_CHECKING:
    from model_manager.packaging.signing import Signed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_SIGN = """\b
Exit codes:
  0  signed
  2  wrong usage, or it cannot be signed

\b
Examples:
  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out key.pub.pem
  model-manager sign build/models/iris/2 --key key.pem
  model-manager sign models/iris-2.joblib --key key.pem

The signature is model.sig in a package, iris-2.sig beside iris-2.joblib: a Sigstore bundle in the OpenSSF model signing
format, which `model_signing verify key` reads as well. A server with --signature-key key.pub.pem loads nothing else.
"""


@click.command(epilog=_SIGN)
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=_FILE, help="Private key in PEM, on the curve P-256, P-384 or P-521.")
@click.option("--cert", type=_FILE, help="The key's certificate in PEM, and those that lead to an authority.")
@json_option
def sign(package: Path, key: Path, cert: Path | None, as_json: bool) -> None:
    """Sign every file of PACKAGE, a folder with a model, or a model's file with the metadata beside it."""
    from model_manager.packaging.signing import sign_package

    def password() -> str:
        return str(click.prompt(f"Password of {key}", hide_input=True, err=True))

    try:
        signed = sign_package(package, key=key, chain=cert, password=password)
    except PackageRefused as error:
        fail(str(error), 2)
    tell_signed(signed, "signed", as_json)


def tell_signed(signed: "Signed", done: str, as_json: bool) -> None:
    """Print what a signature covers; `done`: what was done."""
    if as_json:
        files = [{"file": name, "sha256": digest} for name, digest in signed.covered.items()]
        click.echo(json.dumps({done: True, "signature": str(signed.signature), "files": files}))
        return
    width = max(map(len, signed.covered))
    click.echo(f"{'file':{width}}  sha256")
    for name, digest in signed.covered.items():
        click.echo(f"{name:{width}}  {digest}")
    click.echo(f"{done}: {signed.signature}")
