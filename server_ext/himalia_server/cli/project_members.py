"""`himalia project members …`."""

from __future__ import annotations

import click

from ..team import Role
from .api import at, connect
from .options import as_json, in_project, project_here
from .output import print_json, table

ROLE = click.Choice([role.value for role in Role])
EVERYWHERE = ("list", "add", "remove")


@click.group("members", invoke_without_command=True)
@click.option("--project", "-p", "slug", help="The project's name. Default: that of this folder.")
@as_json
@click.pass_context
def members(context: click.Context, slug: str | None, json_: bool) -> None:
    """Who belongs to a project, and as what.

    Without a command: lists them. Roles, each with the rights of those before it: viewer (reads), contributor (edits,
    runs, tracks), operator and approver (endpoints, models' aliases), owner (members, secrets, archive, delete).
    """
    if context.invoked_subcommand is None:
        _print(project_here(slug), json_)
    else:  # what was said before the command is meant for it
        context.default_map = {name: {"slug": slug, "json_": json_} for name in EVERYWHERE}


@members.command("list")
@in_project
@as_json
def list_members(slug: str, json_: bool) -> None:
    """Members of a project and their roles."""
    _print(slug, json_)


@members.command("add")
@click.argument("name")
@click.option("--role", type=ROLE, required=True, help="What they may do; see members --help.")
@in_project
@as_json
def add(name: str, role: str, slug: str, json_: bool) -> None:
    """Give the person NAME a role in a project, whether they had one or not.

    NAME is what the person's account is called: on a JupyterHub their user name there. It is not looked up anywhere:
    who comes with that name has the role.
    """
    view = connect().request("PUT", at("projects", slug, "members", name), json={"role": role})
    if json_:
        print_json(view)
    else:
        click.echo(f"{view['user']} is {view['role']} of {slug}.")


@members.command("remove")
@click.argument("name")
@in_project
@as_json
def remove(name: str, slug: str, json_: bool) -> None:
    """Take the person NAME out of a project. What acts for them there ends; the last owner stays."""
    connect().request("DELETE", at("projects", slug, "members", name))
    if json_:
        print_json({"project": slug, "user": name, "removed": True})
    else:
        click.echo(f"{name} is no member of {slug} any more.")


def _print(slug: str, json_: bool) -> None:
    items = list(connect().items(at("projects", slug, "members")))
    if json_:
        print_json(items)
    else:
        click.echo(table([(member["user"], member["role"]) for member in items], ("NAME", "ROLE")))
