"""`himalia notification …`."""

from __future__ import annotations

import sys

import click

from .api import at, connect
from .options import as_json, in_project
from .output import Failure, ago, print_json, table


@click.group()
def notification() -> None:
    """Who is told when a schedule of a project fails for the first time, and when it works again."""


@notification.command("add")
@click.argument("name")
@click.option("--email", "addresses", multiple=True, metavar="ADDRESS", help="Send an e-mail; may be repeated.")
@click.option("--webhook", metavar="URL", help="Send a signed POST. - reads the URL from standard input.")
@in_project
@as_json
def add(name: str, addresses: tuple[str, ...], webhook: str | None, slug: str, json_: bool) -> None:
    """Tell somebody more.

    For example: himalia notification add team --email team@example.org
    """
    if bool(addresses) == (webhook is not None):
        raise Failure(
            "Say one of --email and --webhook.", f"himalia notification add {name} --email ANN@EXAMPLE.ORG", 2
        )
    if webhook == "-":
        webhook = sys.stdin.readline().strip()
    target = {"kind": "webhook", "url": webhook} if webhook is not None else {"kind": "email", "to": list(addresses)}
    view = connect().post(at("projects", slug, "notifiers"), {"name": name, "target": target})
    if json_:
        print_json(view)
        return
    click.echo(f"{name} is told from now on: {view['target']}")
    if view["secret"]:
        click.echo(f"Its messages are signed with this secret, which is not shown again:\n{view['secret']}")
    click.echo(f"Try it: himalia notification test {name} --project {slug}")


@notification.command("list")
@in_project
@as_json
def list_notifiers(slug: str, json_: bool) -> None:
    """Who is told, and whether it arrives."""
    items = connect().get(at("projects", slug, "notifiers"))["items"]
    if json_:
        print_json(items)
    elif not items:
        click.echo(f"Nobody yet. Add one: himalia notification add NAME --email ADDRESS --project {slug}")
    else:
        rows = [
            (
                n["name"],
                n["kind"],
                n["target"],
                ago(n["last_delivered_at"]) or "never",
                n["pending"],
                n["problem"] or "ok",
            )
            for n in items
        ]
        click.echo(table(rows, ("NAME", "KIND", "TO", "ARRIVED", "PENDING", "STATE")))


@notification.command("test")
@click.argument("name")
@in_project
@as_json
def check(name: str, slug: str, json_: bool) -> None:
    """Send a test to NAME now, and say whether it arrived."""
    done = connect().request("POST", at("projects", slug, "notifiers", name, "test"), json={})
    if json_:
        print_json(done)
    if not done["delivered"]:
        raise Failure(f"It did not arrive: {done['error']}.", "Mend it there, or remove the notifier and add it again.")
    if not json_:
        click.echo(f"It arrived at {name}.")


@notification.command("remove")
@click.argument("name")
@in_project
@as_json
def remove(name: str, slug: str, json_: bool) -> None:
    """Tell NAME no more."""
    connect().request("DELETE", at("projects", slug, "notifiers", name))
    if json_:
        print_json({"project": slug, "name": name, "removed": True})
    else:
        click.echo(f"{name} is told no more.")
