"""`model-manager import mlflow`: the command, what it prints, and its exit codes."""

from pathlib import Path

import click

from model_manager.commands.terminal import fail, json_option, print_json, working

_EPILOG = """\b
Exit codes:
  0  packed
  2  wrong usage, MLflow cannot give the model, or it would not serve

\b
Examples:
  pip install 'model-manager-server[mlflow]'
  model-manager import mlflow models:/iris/3 --name iris --version 3 --out build/models
  model-manager import mlflow mlruns/1/models/m-0/artifacts --name iris --version 3 --out build/models

The estimator of MLflow's flavor sklearn is packed; MLflow unpickles it: import only what you trust. Where to ask is
MLflow's own setting (MLFLOW_TRACKING_URI). There are no golden rows and no baseline, since MLflow keeps no training
data.
"""


@click.group("import")
def import_() -> None:
    """Make packages of the models of other systems."""


@import_.command(epilog=_EPILOG)
@click.argument("uri")
@click.option("--name", required=True, metavar="N", help="The model.")
@click.option("--version", required=True, metavar="V", help="The version.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The repository.")
@json_option
def mlflow(uri: str, name: str, version: str, out: Path, as_json: bool) -> None:
    """Pack the scikit-learn model at URI, such as models:/iris/3, runs:/RUN/model or a folder with an MLmodel."""
    from model_manager.errors import PackageRefused
    from model_manager.packaging.mlflow_models import import_mlflow

    try:
        with working(f"importing {uri}"):
            imported = import_mlflow(uri, name=name, version=version, repository=out)
    except PackageRefused as error:
        fail(str(error))
    if as_json:
        columns = list(imported.columns) if imported.columns is not None else None
        print_json({"package": str(imported.package), "source": uri, "run": imported.run, "columns": columns})
        return
    known = f", whose signature names {len(imported.columns)} columns" if imported.columns is not None else ""
    click.echo(f"packed: {imported.package} of {uri}{known}")
