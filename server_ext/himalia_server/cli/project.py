"""`himalia project …`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from .api import at, connect
from .lab import lab_command
from .options import as_json
from .output import ago, print_json, table


@click.group()
def project() -> None:
    """Projects: folders with a himalia.toml."""


@project.command("list")
@as_json
def list_projects(json_: bool) -> None:
    """Projects that you may see."""
    items = list(connect().items("/projects"))
    if json_:
        print_json(items)
    elif not items:
        click.echo("No project yet. Make one: himalia project create NAME --template nyc-flights")
    else:
        rows = [(p["slug"], p["role"], ago(p["created_at"]), p["problem"] or "ok", p["path"]) for p in items]
        click.echo(table(rows, ("NAME", "ROLE", "CREATED", "MANIFEST", "FOLDER")))


@project.command("create")
@click.argument("name")
@click.option("--template", help="Make it from this template.")
@click.option("--path", type=click.Path(file_okay=False), help="Its folder; with no template an existing one.")
@as_json
def create(name: str, template: str | None, path: str | None, json_: bool) -> None:
    """Make a project.

    Its folder comes from a template, or has a himalia.toml already.
    """
    folder = str(Path(path).expanduser().absolute()) if path else None
    view = connect().post("/projects", {"name": name, "template": template, "path": folder})
    if json_:
        print_json(view)
    else:
        click.echo(f"The project {view['slug']} is in {view['path']}.\nOpen it: himalia project open {view['slug']}")


@project.command("show")
@click.argument("name")
@as_json
def show(name: str, json_: bool) -> None:
    """One project with its stages."""
    view = connect().get(at("projects", name))
    if json_:
        print_json(view)
        return
    click.echo(f"{view['slug']}: {view['description']}\n{view['path']}\nyour role: {view['role']}")
    if view["problem"]:
        click.echo(f"\n{view['problem']}")
    rows = [
        (s["name"], s["notebook"], ", ".join(s["waits_for"]), ", ".join(s["inputs"]), ", ".join(s["outputs"]))
        for s in view["stages"]
    ]
    if rows:
        click.echo("\n" + table(rows, ("STAGE", "NOTEBOOK", "AFTER", "INPUTS", "OUTPUTS")))


@project.command("open", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def open_project(name: str, arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on a project.

    It opens the project's workspace, with its kernel as the default.

    ARGUMENTS go to JupyterLab, for example --no-browser.
    """
    view = connect().get(at("projects", name))
    os.execv(sys.executable, lab_command(view, arguments))  # noqa: S606 - no shell, and nothing of ours has to live on


@project.command("delete")
@click.argument("name")
@click.option("--files", is_flag=True, help="Delete its folder as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, files: bool, yes: bool) -> None:
    """Take a project off the site.

    Its runs, models, clusters and endpoints end; its folder stays unless --files says otherwise.
    """
    api = connect()
    view = api.get(at("projects", name))
    folder = f" and delete {view['path']}" if files else f" ({view['path']} stays)"
    if not yes:
        click.confirm(f"Remove {name} with its runs, models, clusters and endpoints{folder}?", abort=True)
    api.request("DELETE", at("projects", name), params={"remove_files": files})
    click.echo(f"{name} is gone.")
