"""`model-manager pack`: a model's file and what its author knows of it → a package in a repository.

What takes long to import is imported when the command runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.packages import created_option, document_of, moment, print_package
from model_manager.commands.terminal import INTERRUPTED, fail, json_option, print_json, working
from model_manager.errors import ConfigurationError, LoadFailed, PredictionFailed

if TYPE_CHECKING:
    from model_manager.packaging.signing import Signer
    from model_manager.repository.metadata import Card

_PATH = click.Path(path_type=Path)

_EPILOG = """\b
Exit codes:
  0  packed
  1  packed, but it does not pass a gate of --fail-if: `promote` will refuse it
  2  wrong usage, the model would not serve, or the package cannot be written

\b
Examples:
  model-manager pack model.joblib --name churn --version 3 --out repository
  model-manager pack model.joblib --name churn --version 3 --out repository \\
    --data train.csv --target churned --holdout test.csv --fail-if "accuracy < 0.8" --card card.md

The file's bytes stay as they are. From --data come the types of columns, golden rows, which a server predicts before
the version goes live, and the histograms that drift is measured against; which data it was is asked of git and of
FILE.dvc. A version that exists is never overwritten, and is seen whole or not at all. A pickle is code: it runs here.
"""


@click.command(epilog=_EPILOG)
@click.argument("model", type=_PATH)
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="The version to write; one that exists is never overwritten.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
@click.option("--data", type=_PATH, metavar="FILE", help="The CSV or Parquet file that the model was fitted on.")
@click.option("--target", metavar="COLUMN", help="The column of the data that the model predicts.")
@click.option(
    "--columns",
    metavar="NAMES",
    help="The columns of the data that the model was fitted on, with commas between, in its order; where it does not "
    "know their names.",
)
@click.option("--holdout", type=_PATH, metavar="FILE", help="A CSV or Parquet file to score the model on.")
@click.option(
    "--fail-if",
    multiple=True,
    metavar="EXPR",
    help='A gate on the hold-out, such as "accuracy < 0.9", as `evaluate` has it; the package records the outcome.',
)
@click.option("--card", type=_PATH, metavar="FILE", help="A model card in Markdown.")
@click.option("--owner", help="Whom to ask about the model; before what the card says.")
@click.option("--description", help="What the model is; before what the card says.")
@click.option("--intended-use", help="What the model is for; before what the card says.")
@click.option("--data-version", metavar="TEXT", help="What this state of the data is called, such as a tag.")
@click.option("--data-uri", metavar="URI", help="Where the data are kept.  [default: the path of --data]")
@click.option("--sign", "key", type=_PATH, metavar="KEY", help="Sign with this private key in PEM.")
@click.option("--cert", type=_PATH, metavar="FILE", help="The key's certificate, and those that lead to an authority.")
@click.option("--skops-trusted", metavar="TYPES", help="Types of a .skops file to trust, with commas between.")
@created_option
@json_option
def pack(
    model: Path,
    name: str,
    version: str,
    out: Path,
    data: Path | None,
    target: str | None,
    columns: str | None,
    holdout: Path | None,
    fail_if: tuple[str, ...],
    card: Path | None,
    owner: str | None,
    description: str | None,
    intended_use: str | None,
    data_version: str | None,
    data_uri: str | None,
    key: Path | None,
    cert: Path | None,
    skops_trusted: str | None,
    created: int | None,
    as_json: bool,
) -> None:
    """Write the package of MODEL, a .joblib, .pkl, .skops or .onnx file, to REPO/NAME/VERSION."""
    if data is None and (data_version or data_uri):
        raise click.UsageError("--data-version and --data-uri speak of --data, which is not given")
    if fail_if and holdout is None:
        raise click.UsageError("--fail-if speaks of --holdout, which is not given")
    if cert is not None and key is None:
        raise click.UsageError("--cert speaks of the key of --sign, which is not given")
    try:
        with working("importing scikit-learn"):
            from model_manager.packaging.packing import Said, pack_model

            said = Said(
                data=data,
                target=target,
                columns=_listed(columns),
                holdout=holdout,
                fail_if=fail_if,
                card=_card(card, owner=owner, description=description, intended_use=intended_use),
                data_version=data_version,
                data_uri=data_uri,
                skops_trusted=_listed(skops_trusted),
                created=moment(created),
            )
        signer = _signer(key, cert)
        with working(f"packing {name}/{version}") as told:
            packed = pack_model(
                model,
                said,
                name=name,
                version=version,
                repository=out,
                signer=signer,
                told=lambda doing: told(f"packing {name}/{version}: {doing}"),
            )
    except (ConfigurationError, LoadFailed, PredictionFailed) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(INTERRUPTED)
    notes = packed.notes
    if data is None:
        notes = (*notes, "without --data there are no golden rows, and nothing that drift can be measured against")
    if as_json:
        print_json(document_of(packed.folder, notes))
    else:
        print_package(packed.folder, notes, holdout=holdout)
    if packed.failed:
        fail(f"{name}/{version} is packed, and does not pass: {'; '.join(packed.failed)}", 1)


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in (names or "").split(","))))


def _card(path: Path | None, **said: str | None) -> "Card | None":
    from model_manager.packaging.card import read_card
    from model_manager.repository.metadata import Card

    given = {field: text for field, text in said.items() if text}
    if path is None:
        return Card(**given) if given else None
    return read_card(path).model_copy(update=given)


def _signer(key: Path | None, cert: Path | None) -> "Signer | None":
    if key is None:
        return None
    from model_manager.packaging.signing import read_signer

    def password() -> str:
        return str(click.prompt(f"Password of {key}", hide_input=True, err=True))

    return read_signer(key, chain=cert, password=password)
