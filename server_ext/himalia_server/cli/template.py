"""`himalia template …`: what projects are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .api import at, connect
from .options import as_json
from .output import print_json, table


@click.group()
def template() -> None:
    """Templates: what projects are made from."""


@template.command("list")
@as_json
def list_templates(json_: bool) -> None:
    """Those that come with Himalia, and the team's own."""
    items = connect().get("/templates")["items"]
    if json_:
        print_json(items)
        return
    rows = [(t["name"], t["title"], t["source"] or "Himalia", t["problem"] or t["description"]) for t in items]
    click.echo(table(rows, ("NAME", "TITLE", "FROM", "DESCRIPTION")))


@template.command("add")
@click.argument("source")
@click.option("--name", help="Default: what template.toml says, else the source's.")
@as_json
def add(source: str, name: str | None, json_: bool) -> None:
    """Take a snapshot of a folder or a git repository as a template.

    It holds a himalia.toml, and may hold a template.toml with name, title and description.
    """
    address = str(Path(source).expanduser().absolute()) if Path(source).expanduser().is_dir() else source
    view = connect().post("/templates", {"source": address, "name": name}, timeout=1000)
    _show(view, json_, f"Make a project from it: himalia project create NAME --template {view['name']}")


@template.command("update")
@click.argument("name")
@as_json
def update(name: str, json_: bool) -> None:
    """Take the snapshot anew, from where it was taken."""
    view = connect().post(at("templates", name, "update"), timeout=1000)
    _show(view, json_, f"{name} is {view['digest']}.")


@template.command("remove")
@click.argument("name")
@as_json
def remove(name: str, json_: bool) -> None:
    """Forget one of the team's templates; projects that were made from it stay."""
    connect().request("DELETE", at("templates", name))
    _show({"name": name, "removed": True}, json_, f"{name} is no template any more.")


def _show(view: dict[str, Any], json_: bool, text: str) -> None:
    if json_:
        print_json(view)
    else:
        click.echo(text)
