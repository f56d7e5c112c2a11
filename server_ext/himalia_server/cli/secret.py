"""`himalia secret …`."""

from __future__ import annotations

import sys

import click

from .api import at, connect
from .options import as_json, in_project
from .output import Failure, ago, print_json, several, table

LONGEST = 64 << 10
"""Bytes, and a line's end that is not part of the value."""


@click.group()
def secret() -> None:
    """Secrets of a project, which its kernels and stages find in their environment.

    A value is set once and never shown again.
    """


@secret.command("list")
@in_project
@as_json
def list_secrets(slug: str, json_: bool) -> None:
    """Names of a project's secrets."""
    items = connect().get(at("projects", slug, "secrets"))["items"]
    if json_:
        print_json(items)
    elif not items:
        click.echo(f"No secret yet. Set one: himalia secret set NAME --project {slug}")
    else:
        rows = [(s["name"], s["created_by"], ago(s["changed_at"]), s["problem"] or "ok") for s in items]
        click.echo(table(rows, ("NAME", "SET BY", "SET", "STATE")))


@secret.command("set", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@click.argument("name")
@in_project
@as_json
@click.pass_context
def set_secret(context: click.Context, name: str, slug: str, json_: bool) -> None:
    """Set or replace the secret NAME of a project.

    Its value is asked for without being shown, or read from standard input (one line's end at its end is left out).
    It is never an argument: all accounts of a machine can read command lines.
    """
    if context.args:  # which are not shown again: one may be the value
        raise Failure(
            "NAME and the options are all that is taken here: the value is asked for, or read from standard input.",
            f"himalia secret set {name}, and type it then; or: himalia secret set {name} < FILE. A value that was "
            "written into the command is in your shell's history now.",
            code=2,
        )
    api = connect()
    if sys.stdin.isatty():
        value = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        data = sys.stdin.buffer.read(LONGEST + 3)
        try:
            value = data.decode()
        except UnicodeDecodeError:
            raise Failure(
                "The value is no text in UTF-8, so that no environment variable can hold it.",
                "Encode it, for example: base64 -w0 FILE | himalia secret set …",
                code=2,
            ) from None
        value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise Failure(
            "The value is empty.", f"himalia secret delete {name} --project {slug} takes a secret away.", code=2
        )
    view = api.request("PUT", at("projects", slug, "secrets", name), json={"value": value})
    if json_:
        print_json(view)
    else:
        click.echo(f"{name} is set. {view['note']}")


@secret.command("delete")
@click.argument("name")
@in_project
@as_json
def delete(name: str, slug: str, json_: bool) -> None:
    """Forget the secret NAME of a project."""
    connect().request("DELETE", at("projects", slug, "secrets", name))
    if json_:
        print_json({"project": slug, "name": name, "removed": True})
    else:
        click.echo(f"{name} is gone. Kernels that run keep it until they end.")


@secret.command("rotate-key")
@as_json
def rotate_key(json_: bool) -> None:
    """Encrypt all secrets of the site with a new key.

    The old key is forgotten: a copy of it opens nothing that is stored from now on. Backups made before have their own.
    """
    done = connect().request("POST", at("secrets", "rotate-key"), json={})
    if json_:
        print_json(done)
        return
    are = "is" if done["resealed"] == 1 else "are"
    click.echo(f"{several(done['resealed'], 'secret')} {are} encrypted with a new key.")
    if done["lost"]:
        raise Failure(
            f"These could not be opened with any key of this site: {', '.join(done['lost'])}.",
            "Set them again: himalia secret list --project PROJECT tells where.",
        )
