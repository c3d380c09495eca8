"""`model-manager export`: the command, what it prints, and its exit codes."""

from pathlib import Path

import click

from model_manager.commands.terminal import fail, json_option, print_json, working

_EPILOG = """\b
Exit codes:
  0  exported
  2  wrong usage, no such package, or it cannot be exported

\b
Examples:
  model-manager export build/models/iris/2 --mlflow iris-2
  python -c "import mlflow; print(mlflow.sklearn.load_model('iris-2'))"

The folder holds an MLmodel file with the signature, a pickle of the estimator, and its requirements; MLflow need not be
installed here. The artifact is unpickled, after its digest was checked.
"""


@click.command(epilog=_EPILOG)
@click.argument("package", type=click.Path(path_type=Path))
@click.option(
    "--mlflow",
    "folder",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="A new folder, for a model that MLflow reads.",
)
@json_option
def export(package: Path, folder: Path, as_json: bool) -> None:
    """Write PACKAGE, a folder <model>/<version>, as a model of another system."""
    from model_manager.errors import PackageRefused
    from model_manager.packaging.mlflow_models import export_mlflow

    try:
        with working(f"exporting {package}"):
            written = export_mlflow(package, folder)
    except PackageRefused as error:
        fail(str(error))
    if as_json:
        print_json({"package": str(package), "mlflow": str(written)})
    else:
        click.echo(f"exported: {written}, which mlflow.sklearn.load_model reads")
