"""`himalia model …`."""

from __future__ import annotations

import click

from .api import at, connect
from .options import as_json, in_project
from .output import print_json, table


@click.group()
def model() -> None:
    """Models in a project's registry."""


@model.command("list")
@in_project
@as_json
def list_models(slug: str, json_: bool) -> None:
    """Registered models and their versions."""
    items = list(connect().items(at("projects", slug, "models")))
    if json_:
        print_json(items)
    elif not items:
        click.echo("No model yet.")
    else:
        rows = [(m["name"], v["version"], ", ".join(v["aliases"])) for m in items for v in m["versions"]]
        click.echo(table(rows, ("MODEL", "VERSION", "ALIASES")))


@model.command("alias")
@click.argument("name")
@click.argument("alias")
@click.argument("version")
@in_project
@as_json
def set_alias(name: str, alias: str, version: str, slug: str, json_: bool) -> None:
    """Point an alias to a version.

    For example: himalia model alias flight-delay champion 2 -p nyc-flights
    """
    view = connect().request("PUT", at("projects", slug, "models", name, "aliases", alias), json={"version": version})
    if json_:
        print_json(view)
    else:
        click.echo(f"{name}@{alias} is version {version} now.")
