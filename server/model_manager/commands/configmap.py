"""`model-manager configmap`: the command, what it prints, and its exit codes.

In the flow: cli → **configmap** → packages_named → configmaps → configmap_yaml. The document goes to standard output,
for kubectl; what is in it, for people, to standard error.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model_manager.commands.terminal import fail, json_option, print_json, working

if TYPE_CHECKING:
    from model_manager.manifests.configmaps import ConfigMap

_EPILOG = """\b
Exit codes:
  0  printed
  2  wrong usage, no such package, one that was changed after it was packed, or it does not fit (1 MiB)

\b
Examples:
  model-manager configmap models build/models/iris/1 build/models/iris/2 | kubectl apply --server-side -f -
  model-manager configmap models build/models/iris --default iris=1 > models-configmap.yaml
  model-manager configmap models build/models --immutable | kubectl apply --server-side -f -
  model-manager configmap models build/models --artifacts-at /artifacts/shared | kubectl apply --server-side -f -

A ConfigMap holds 1 MiB. --immutable puts every version into an immutable ConfigMap, named by its content, and
models.yaml into a small one; --artifacts-at writes where the artifacts lie, as PLACE/<model>/<version>/, instead of
their bytes.
"""


def _defaults(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    chosen = {}
    for value in values:
        model, equals, version = value.partition("=")
        if not (model and equals and version):
            raise click.BadParameter(f"{value!r} is not MODEL=VERSION, such as iris=2")
        chosen[model] = version
    return chosen


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.argument("packages", metavar="REPO/N/V...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--immutable", is_flag=True, help="An immutable ConfigMap for each version, and one that points to them.")
@click.option(
    "--default",
    "defaults",
    multiple=True,
    metavar="MODEL=VERSION",
    callback=_defaults,
    help="The version that answers when a request names none; may be given for several models.  [default: the newest]",
)
@click.option("--artifacts-at", metavar="PLACE", help="Where the artifacts lie: an absolute path, or a URI.")
@click.option("--by", metavar="WHO", help="Who makes the change, for the ledger.  [default: user@host]")
@json_option
def configmap(
    name: str,
    packages: Sequence[Path],
    immutable: bool,
    defaults: dict[str, str],
    artifacts_at: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """Print the ConfigMap NAME that serves these packages: models.yaml and, while they fit, the artifacts.

    REPO/N/V is one version; REPO/N is every version of a model, REPO every model.
    """
    if immutable and artifacts_at is not None:
        raise click.UsageError("--immutable splits artifacts that --artifacts-at leaves out: choose one")
    from model_manager.errors import ConfigurationError
    from model_manager.manifests import configmap_yaml
    from model_manager.manifests.configmaps import Wishes, configmaps_of
    from model_manager.manifests.packages_named import read_named
    from model_manager.manifests.provenance import ChangedBy

    try:
        with working("reading packages"):
            wishes = Wishes(defaults, immutable, artifacts_at)
            config_maps = configmaps_of(name, read_named(packages), wishes, ChangedBy.now(by))
    except ConfigurationError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename} cannot be read: {error.strerror}")
    if as_json:
        print_json(configmap_yaml.as_json(config_maps))
    else:
        click.echo(configmap_yaml.as_yaml(config_maps), nl=False)
        _tell(config_maps)


def _tell(config_maps: Sequence["ConfigMap"]) -> None:
    from rich.console import Console

    from model_manager.commands.terminal import new_table
    from model_manager.manifests.configmaps import MOST_BYTES

    table = new_table(None, ["ConfigMap", "key", "bytes", "of 1 MiB"], right=["bytes", "of 1 MiB"])
    for one in config_maps:
        sizes = [(key, len(text.encode())) for key, text in one.text.items()]
        sizes += [(key, len(content)) for key, content in one.binary.items()]
        for at, (key, size) in enumerate(sizes):
            name = f"{one.name}{' (immutable)' if one.immutable else ''}" if at == 0 else ""
            share = f"{one.size / MOST_BYTES:.1%}" if at == 0 else ""
            table.add_row(name, key, f"{size:,}", share)
        table.add_section()
    Console(stderr=True).print(table)
    mounted = [one.name for one in config_maps if one.immutable]
    if mounted:
        click.echo(
            "Pods see those that the chart mounts; to mount another is a new pod template, and a rollout:", err=True
        )
        sets = [f"tracks.stable.existingConfigMap={config_maps[-1].name}"]
        sets += [f"artifacts.configMaps.{name}=true" for name in mounted]
        lines = ["helm upgrade RELEASE CHART --reset-then-reuse-values", *(f"  --set {one}" for one in sets)]
        click.echo("  " + " \\\n  ".join(lines), err=True)
