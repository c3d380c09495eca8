"""`model-manager rollback`: the command, what it prints, and its exit codes.

In the flow: cli → **rollback** → changing, or last_good where a server is asked.
"""

from pathlib import Path

import click

from model_manager.commands.manifest_files import (
    Opened,
    by_option,
    dry_run_option,
    finish,
    force_option,
    manifest_argument,
    open_manifest,
)
from model_manager.commands.terminal import fail, json_option, working

_EPILOG = """\b
Exit codes:
  0  done, or it was so already
  1  the version failed the gates of its evaluation, or the server has seen no good state yet
  2  wrong usage, nothing to return to, or the manifest or the server cannot be read

\b
Examples:
  model-manager rollback models.yaml iris
  model-manager rollback models.yaml iris --to 1 --dry-run
  model-manager rollback models.yaml --last-good --url http://localhost:8081
  kubectl get configmap models --output json | model-manager rollback - iris | kubectl apply --server-side -f -

Without --to it returns to `previous`, which promote and rollback write down: run twice, it leads back to where one was.
--last-good takes the whole manifest back to the last one under which every model served and no version had failed.
MODELS.yaml may be a ConfigMap that holds a models.yaml, as YAML or JSON; `-` reads standard input and writes standard
output.
"""


@click.command(epilog=_EPILOG)
@manifest_argument
@click.argument("model", metavar="[NAME]", required=False)
@click.option("--to", metavar="VERSION", help="The version to return to.  [default: the previous one]")
@click.option("--last-good", is_flag=True, help="Return to the last state that was good, of every model; needs --url.")
@click.option("--url", metavar="URL", help="The admin port of a server that keeps a ledger.")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the admin port's token.  [default: the variable MODEL_MANAGER_API_KEY]",
)
@click.option("--api-key", envvar="MODEL_MANAGER_API_KEY", hidden=True)
@force_option
@dry_run_option
@by_option
@json_option
def rollback(
    models_yaml: Path,
    model: str | None,
    to: str | None,
    last_good: bool,
    url: str | None,
    api_key_file: Path | None,
    api_key: str | None,
    force: bool,
    dry_run: bool,
    by: str | None,
    as_json: bool,
) -> None:
    """Return the model NAME to the version that answered before, or a whole MODELS.yaml to the last good state."""
    if last_good != (url is not None) or last_good == (model is not None) or (last_good and to is not None):
        raise click.UsageError("name a model (and --to VERSION), or give --last-good and --url and no model")
    opened = open_manifest(models_yaml, as_json=as_json)
    if model is None:
        assert url is not None
        key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file is not None else api_key
        _return_to_last_good(opened, url, key, dry_run=dry_run, by=by, as_json=as_json)
        return
    from model_manager.errors import ConfigurationError, GatesFailed
    from model_manager.manifests import changing

    try:
        change = changing.roll_back(opened.holder, model, to, force=force, name=opened.name)
    except GatesFailed as error:
        fail(f"{opened.name}: {error}", 1)
    except ConfigurationError as error:
        fail(str(error))
    finish(
        opened,
        change.new,
        by=by,
        dry_run=dry_run,
        told=changing.told(change) if as_json else {},
        line=changing.in_words(change),
    )


def _return_to_last_good(
    opened: Opened, url: str, key: str | None, *, dry_run: bool, by: str | None, as_json: bool
) -> None:
    from model_manager.errors import ChangeRefused
    from model_manager.manifests.last_good import NoneYet
    from model_manager.manifests.last_good import last_good as ask

    try:
        with working(f"asking {url}"):
            manifest = ask(url, key)
    except NoneYet as error:
        fail(str(error), 1)
    except ChangeRefused as error:
        fail(str(error))
    same = manifest == opened.holder.manifest
    line = f"{opened.name} {'is already' if same else 'is back at'} the last good state of {url}"
    finish(opened, manifest, by=by, dry_run=dry_run, told={"url": url} if as_json else {}, line=line)
