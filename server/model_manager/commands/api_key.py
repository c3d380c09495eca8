"""`model-manager api-key`: a new key, told once to the person, and the entry for the file that the server is given.

In the flow: cli → **api-key** → serving/keys. What takes long to import is imported when it runs.
"""

import json
from collections.abc import Sequence

import click

from model_manager.commands.terminal import fail
from model_manager.errors import ConfigurationError


@click.command(
    "api-key", epilog="Example: model-manager api-key shop --models iris --models 'churn-*' >> api-keys.yaml"
)
@click.argument("id")
@click.option("--models", multiple=True, metavar="NAME", help="A model, or a pattern with *; default: every model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, with the key in it.")
def api_key(id: str, models: Sequence[str], as_json: bool) -> None:
    """Make an API key for ID: the key goes to standard error, once, and what the server is given to standard output."""
    from model_manager.serving.keys import digest_of, new_key, parse_keys

    key = new_key()
    entry: dict[str, object] = {"sha256": digest_of(key.encode()).hex(), **({"models": list(models)} if models else {})}
    stored = json.dumps({"keys": {id: entry}})  # which is YAML too
    try:
        parse_keys({"the entry": stored.encode()})
    except ConfigurationError as error:
        fail(str(error))
    if as_json:
        click.echo(json.dumps({"id": id, "key": key, "file": {"keys": {id: entry}}}))
        return
    click.echo(f"the key of {id}, which is shown this once: {key}", err=True)
    said = "".join(f", {name}: {json.dumps(value)}" for name, value in entry.items())
    click.echo(f"keys:\n  {id}: {{{said[2:]}}}")
