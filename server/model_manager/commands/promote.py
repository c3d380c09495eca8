"""`model-manager promote`: the command, what it prints, and its exit codes.

In the flow: cli → **promote** → changing.
"""

from pathlib import Path

import click

from model_manager.commands.manifest_files import (
    by_option,
    dry_run_option,
    finish,
    force_option,
    manifest_argument,
    open_manifest,
)
from model_manager.commands.terminal import fail, json_option

_EPILOG = """\b
Exit codes:
  0  it answers by default now, or did already
  1  it failed the gates of its evaluation
  2  wrong usage, no such model or version, or the manifest cannot be read or written

\b
Examples:
  model-manager promote models.yaml iris 2
  model-manager promote models.yaml iris 2 --dry-run
  kubectl get configmap models --output json | model-manager promote - iris 2 | kubectl apply --server-side -f -

Only the lines of `default` and `previous` change; comments and everything else stay as they were written. `previous`
is the version that answered before, which `model-manager rollback` returns to. MODELS.yaml may be a ConfigMap that
holds a models.yaml, as YAML or JSON; `-` reads standard input and writes standard output.
"""


@click.command(epilog=_EPILOG)
@manifest_argument
@click.argument("model", metavar="NAME")
@click.argument("version")
@force_option
@dry_run_option
@by_option
@json_option
def promote(
    models_yaml: Path, model: str, version: str, force: bool, dry_run: bool, by: str | None, as_json: bool
) -> None:
    """Make VERSION of the model NAME the one that answers when a request names none, in MODELS.yaml."""
    from model_manager.errors import ConfigurationError, GatesFailed
    from model_manager.manifests import changing

    opened = open_manifest(models_yaml, as_json=as_json)
    try:
        change = changing.promote(opened.holder, model, version, force=force, name=opened.name)
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
