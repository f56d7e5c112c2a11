"""`himalia component …`."""

from __future__ import annotations

import click

from .api import at, connect
from .options import as_json, in_project
from .output import Failure, ago, print_json, several, table


@click.group()
def component() -> None:
    """Components: published versions of a project's modules, which other projects import without installing them."""


@component.command("list")
@as_json
def list_components(json_: bool) -> None:
    """Components that you may see."""
    items = list(connect().items("/components"))
    if json_:
        print_json(items)
    elif not items:
        click.echo("No component yet. Publish one: himalia component publish NAME --version 1.0 -p PROJECT")
    else:
        rows = [(c["name"], c["newest"], len(c["versions"]), c["used_by"]) for c in items]
        click.echo(table(rows, ("COMPONENT", "NEWEST", "VERSIONS", "USED BY")))


@component.command("show")
@click.argument("component")
@as_json
def show(component: str, json_: bool) -> None:
    """One component: its versions, and the projects that use it.

    For example: himalia component show team/features
    """
    view = connect().get(at("components", *_parts(component)))
    if json_:
        print_json(view)
        return
    rows = [
        (
            v["version"],
            v["created_by"],
            ago(v["created_at"]),
            v["digest"][:19],
            "lost" if v["problem"] else v["files"],
            ", ".join(v["modules"]),
            v["note"],
        )
        for v in view["published"]
    ]
    click.echo(table(rows, ("VERSION", "BY", "PUBLISHED", "DIGEST", "FILES", "MODULES", "NOTE")))
    for version in view["published"]:
        if version["problem"]:
            click.echo(version["problem"], err=True)
    users = [(user["project"], user["version"]) for user in view["users"]]
    if users:
        click.echo("\n" + table(users, ("USED BY", "VERSION")))
    others = view["used_by"] - len(users)
    if others:
        click.echo(f"{others} more in projects that you cannot see.")


@component.command("publish")
@click.argument("name")
@click.option("--version", required=True, help="For example 1.2; it never changes afterwards.")
@click.option("--note", default="", help="What is new in it.")
@click.option("--module", help="Only this module or package of src/; default: all of it.")
@in_project
@as_json
def publish(name: str, version: str, note: str, module: str | None, slug: str, json_: bool) -> None:
    """Publish the project's src/ as a component.

    For example: himalia component publish features --version 1.2 -p team
    """
    body = {"name": name, "version": version, "note": note, "module": module}
    view = connect().post(at("projects", slug, "components"), body)
    if json_:
        print_json(view)
        return
    for warning in view["warnings"]:
        click.echo(warning, err=True)
    use = f"{view['name']}@{view['version']}"
    if view["unchanged"]:
        click.echo(f"{use} is published already, unchanged.")
    files = "files that are lost" if view["files"] is None else several(view["files"], "file")
    click.echo(f"{use}: {files} ({', '.join(view['modules'])}), {view['digest'][:19]}")
    click.echo(f"Use it: himalia component use {use} --project PROJECT")


@component.command("diff")
@click.argument("component")
@click.argument("old")
@click.argument("new")
@as_json
def diff(component: str, old: str, new: str, json_: bool) -> None:
    """What changes from version OLD to NEW: what is public in its modules, and its files."""
    found = connect().get(at("components", *_parts(component), "compare"), **{"from": old, "to": new})
    if json_:
        print_json(found)
        return
    for change in found["api"]:
        mark = "breaking: " if change["breaking"] else ""
        click.echo(f"{change['name']}: {mark}{', '.join(change['kinds'])}")
        if change["before"] != change["after"]:
            for sign, text in (("-", change["before"]), ("+", change["after"])):
                if text:
                    click.echo(f"  {sign} {text}")
    for fault in found["faults"]:
        click.echo(fault, err=True)
    if not found["files"]:
        click.echo("The files are the same.")
    for file in found["files"]:
        click.echo(f"\n{file['change']}: {file['path']}")
        if file["diff"]:
            click.echo(file["diff"])
        if file["cut"]:
            click.echo("… and more.")


@component.command("use")
@click.argument("use", metavar="COMPONENT@VERSION")
@in_project
@as_json
def use(use: str, slug: str, json_: bool) -> None:
    """Have a project use a component.

    Edits its himalia.toml and keeps the comments. Kernels have it after a restart, runs from the next one on.
    """
    name, at_sign, version = use.partition("@")
    if not at_sign:
        raise Failure(f"{use!r} names no version.", f"himalia component show {name} lists them.", code=2)
    view = connect().request("PUT", at("projects", slug, "uses", *_parts(name)), json={"version": version})
    if json_:
        print_json(view)
        return
    click.echo(f"{slug} uses {use}: import {', '.join(view['modules'])}. Restart its kernels to have it.")


@component.command("leave")
@click.argument("component")
@in_project
@as_json
def leave(component: str, slug: str, json_: bool) -> None:
    """Have a project no longer use a component: edits its himalia.toml."""
    connect().request("DELETE", at("projects", slug, "uses", *_parts(component)))
    if json_:
        print_json({"project": slug, "name": component, "removed": True})
    else:
        click.echo(f"{slug} no longer uses {component}.")


def _parts(component: str) -> tuple[str, str]:
    project, slash, name = component.partition("/")
    if not slash or "/" in name or "@" in name:
        raise Failure(f"{component!r} is not a component's name.", "Write PROJECT/COMPONENT.", code=2)
    return project, name
