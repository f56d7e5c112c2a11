"""`himalia project …`: make, list, show, open and move projects. The modules `project_*` hold its other commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from .api import Api, at, connect
from .lab import lab_command
from .making import making
from .options import as_json
from .output import Failure, ago, print_json, table
from .project_check import check
from .project_copies import clone, export, import_
from .project_life import archive, delete, restore, unarchive
from .project_members import members


@click.group()
def project() -> None:
    """Projects: folders with a himalia.toml."""


for _command in (check, clone, export, import_, members, archive, unarchive, delete, restore):
    project.add_command(_command)


@project.command("list")
@click.option("--archived", is_flag=True, help="The archived ones.")
@click.option("--trashed", is_flag=True, help="The deleted ones that can be restored.")
@as_json
def list_projects(archived: bool, trashed: bool, json_: bool) -> None:
    """Projects that you may see."""
    if archived and trashed:
        raise Failure("Say --archived or --trashed.", code=2)
    items = list(connect().items("/projects", archived=archived, trashed=trashed))
    if json_:
        print_json(items)
    elif not items and (archived or trashed):
        click.echo("None.")
    elif not items:
        click.echo("No project yet. Make one: himalia project create NAME --template nyc-flights")
    else:
        when = "trashed_at" if trashed else "archived_at" if archived else "created_at"
        rows = [
            (p["slug"], p["role"], ago(p[when]), "-" if trashed else p["problem"] or "ok", p["path"]) for p in items
        ]
        header = "DELETED" if trashed else "ARCHIVED" if archived else "CREATED"
        click.echo(table(rows, ("NAME", "ROLE", header, "MANIFEST", "FOLDER")))


@project.command("create")
@click.argument("name", required=False)
@click.option("--template", help="Make it from this template (himalia template list).")
@click.option("--git", help="Clone this repository: https, ssh, or a folder.")
@click.option("--path", type=click.Path(file_okay=False), help="Its folder; with no source an existing one.")
@as_json
def create(name: str | None, template: str | None, git: str | None, path: str | None, json_: bool) -> None:
    """Make a project.

    From a template, a git repository, or a folder that exists; a repository or a folder without a himalia.toml gets a
    small one. Without NAME it is called after its source.
    """
    if not (name or template or git or path):
        raise click.UsageError("Say NAME, or a source: --template, --git or --path.")
    api = connect()
    folder = str(Path(path).expanduser().absolute()) if path else None
    address = str(Path(git).absolute()) if git and Path(git).is_dir() else git
    body = {"name": name, "template": template, "git": address, "path": folder}
    with making(api, "making the project", quiet=json_ or git is None):
        view = api.post("/projects", body, timeout=1000)
    if json_:
        print_json(view)
    else:
        click.echo(f"The project {view['slug']} is in {view['path']}.\nOpen it: himalia project open {view['slug']}")


@project.command("show")
@click.argument("name")
@click.option("--folder", is_flag=True, help='Only its folder, as in: cd "$(himalia project show NAME --folder)"')
@as_json
def show(name: str, folder: bool, json_: bool) -> None:
    """One project with its stages."""
    view = connect().get(at("projects", name))
    if folder:
        click.echo(view["path"])
        return
    if json_:
        print_json(view)
        return
    click.echo(f"{view['slug']}: {view['description']}\n{view['path']}\nyour role: {view['role']}")
    if view["archived_at"]:
        click.echo(f"archived {ago(view['archived_at'])}")
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
    """Open JupyterLab on a project, named or by its folder.

    It opens the project's workspace, with its kernel as the default. A folder that was moved is known by its mark.

    ARGUMENTS go to JupyterLab, for example --no-browser.
    """
    api = connect()
    view = _at(api, Path(name)) if "/" in name or name in (".", "..") else api.get(at("projects", name))
    if view["missing"]:
        raise Failure(view["problem"])
    os.execv(sys.executable, lab_command(view, arguments))  # noqa: S606 - no shell, and nothing of ours has to live on


def _at(api: Api, folder: Path) -> dict[str, Any]:
    """The project of a folder."""
    found = api.post("/project-locations", {"path": str(folder.expanduser().absolute())})
    if found["state"] in ("unknown", "copy"):
        suggestion = found["suggestion"]
        hint = f"Make it a project of its own: himalia project create {suggestion} --path {folder.absolute()}"
        raise Failure(found["message"], hint if suggestion else None)
    if found["state"] == "moved":
        click.echo(found["message"], err=True)
    return dict(found["project"])


@project.command("move")
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False))
@as_json
def move(name: str, folder: str, json_: bool) -> None:
    """Say where a project's folder is now. (It moves no files.)"""
    view = connect().request(
        "PUT", at("projects", name, "path"), json={"path": str(Path(folder).expanduser().absolute())}
    )
    if json_:
        print_json(view)
    else:
        click.echo(f"{name} is in {view['path']}.")
