"""`himalia project archive|unarchive|delete|restore`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .api import Api, at, connect
from .options import as_json
from .output import print_json, several, size


@click.command("archive")
@click.argument("name")
@as_json
def archive(name: str, json_: bool) -> None:
    """Stop what runs in a project, and hide it.

    Its endpoints stop to answer; they and their keys are kept. Kernels of notebooks are Jupyter's: they lose every
    right in the project, and go on until they are shut down in JupyterLab, as an open page of the project does.
    """
    api = connect()
    kernels = api.get(at("projects", name, "removal"))["kernels"]
    view = api.post(at("projects", name, "archive"))
    text = f"{name} is archived. Bring it back: himalia project unarchive {name}"
    _done(view | {"kernels": kernels}, json_, "\n".join([text, *left_running(kernels)]))


@click.command("unarchive")
@click.argument("name")
@as_json
def unarchive(name: str, json_: bool) -> None:
    """Bring an archived project back, with its endpoints."""
    _done(connect().post(at("projects", name, "unarchive")), json_, f"{name} is back.")


@click.command("restore")
@click.argument("name")
@as_json
def restore(name: str, json_: bool) -> None:
    """Bring a deleted project back as it was."""
    view = connect().post(at("projects", name, "restore"))
    _done(view, json_, f"{name} is back in {view['path']}.")


@click.command("delete")
@click.argument("name")
@click.option("--files", is_flag=True, help="Its folder as well.")
@click.option("--purge", is_flag=True, help="At once and for good, also one that is in the trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def delete(name: str, files: bool, purge: bool, yes: bool, json_: bool) -> None:
    """Delete a project.

    What runs in it ends. It stays in the trash for 30 days (himalia project restore), unless --purge says otherwise.
    Its folder stays where it is unless --files says otherwise. Kernels of notebooks are Jupyter's: they lose every
    right in the project, and go on until they are shut down in JupyterLab, as an open page of the project does.
    """
    api = connect()
    removal = api.get(at("projects", name, "removal"))
    if not yes:
        click.echo(describe(removal, files=files), err=True)
        how = "for good" if purge else f"; for {removal['days']} days it can be restored"
        click.confirm(f"Delete {name}{' ' if purge else ''}{how}?", abort=True, err=True)
    api.request("DELETE", at("projects", name), params={"remove_files": files, "purge": purge})
    if json_:
        print_json(removal | {"purged": purge})
        return
    if purge:
        click.echo(f"{name} is gone.")
        if Path(removal["folder"]).is_dir():
            click.echo(f"Its folder stays: {removal['folder']}")
    else:
        click.echo(f"{name} is in the trash, until {_until(api, name)}. Bring it back: himalia project restore {name}")
    for line in left_running(removal["kernels"]):
        click.echo(line)


def left_running(kernels: int) -> list[str]:
    """What becomes of the kernels of notebooks, for a person; nothing when there are none."""
    if not kernels:
        return []
    whose, they = ("1 notebook goes", "it is") if kernels == 1 else (f"{kernels:,} notebooks go", "they are")
    kernel = "kernel" if kernels == 1 else "kernels"
    return [
        f"The {kernel} of {whose} on, without any right in the project, until {they} shut down in JupyterLab. "
        "An open page of the project does so itself."
    ]


def describe(removal: dict[str, Any], *, files: bool) -> str:
    """What would be removed, for a person."""
    lines = [f"Deleting {removal['project']} removes:"]
    more = "more than " if removal["more"] else ""
    folder = f"{more}{several(removal['files'], 'file')}, {size(removal['bytes'])}, in {removal['folder']}"
    lines.append(f"  {folder}" if files else f"  not its folder ({folder})")
    running = (
        f", of which {removal['running']} {'goes' if removal['running'] == 1 else 'go'} on now"
        if removal["running"]
        else ""
    )
    lines.append(f"  {several(removal['runs'], 'run')}{running}")
    if removal["models"] is None:
        lines.append("  its models (MLflow does not answer now, so that they cannot be counted)")
    else:
        lines.append(
            f"  {several(removal['models'], 'registered model')} with {several(removal['versions'], 'version')}"
        )
    for what in ("endpoints", "clusters"):
        if removal[what]:
            lines.append(
                f"  the {what.removesuffix('s') if len(removal[what]) == 1 else what} {', '.join(removal[what])}"
            )
    lines.append(f"  {several(removal['secrets'], 'secret')}")
    if removal["components"]:
        stay = "stays" if removal["components"] == 1 else "stay"
        lines.append(f"  {several(removal['components'], 'published version')} of components {stay}, for who uses them")
    lines += [f"  note: {line}" for line in left_running(removal["kernels"])]
    for use in removal["used_by"]:
        lines.append(f"  note: {use['project']} uses {use['component']}")
    return "\n".join(lines)


def _until(api: Api, name: str) -> str:
    for view in api.items("/projects", trashed=True):
        if view["slug"] == name:
            return datetime.fromtimestamp(view["purged_at"]).astimezone().strftime("%d %B %Y")
    return "some days from now"


def _done(view: dict[str, Any], json_: bool, text: str) -> None:
    if json_:
        print_json(view)
    else:
        click.echo(text)
