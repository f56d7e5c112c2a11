"""`himalia deployment …`."""

from __future__ import annotations

from typing import Any

import click

from .api import at, connect
from .options import as_json, in_project
from .output import ago, print_json, table

DAYS = click.FloatRange(0, 3650, min_open=True)


@click.group()
def deployment() -> None:
    """Endpoints that answer predictions."""


@deployment.command("list")
@in_project
@as_json
def list_deployments(slug: str, json_: bool) -> None:
    """Endpoints of a project."""
    items = list(connect().items(at("projects", slug, "deployments")))
    if json_:
        print_json(items)
    elif not items:
        click.echo("No endpoint yet.")
    else:
        rows = [(d["name"], d["state"], f"{d['model_name']}/{d['model_version']}", d["url"], d["error"]) for d in items]
        click.echo(table(rows, ("NAME", "STATE", "MODEL", "URL", "ERROR")))
        for d in items:
            if d["requested_version"]:
                click.echo(_waiting(d))


@deployment.command("create")
@click.argument("name")
@click.argument("model")
@in_project
@as_json
def create(name: str, model: str, slug: str, json_: bool) -> None:
    """Put a model behind an endpoint.

    MODEL is models:/NAME@ALIAS or models:/NAME/VERSION; the endpoint NAME is made when it is new.
    """
    view = connect().post(at("projects", slug, "deployments"), {"name": name, "model": model})
    if json_:
        print_json(view)
    elif view["requested_version"]:
        click.echo(f"You may ask for a deployment; somebody who may deploy confirms it. {_waiting(view)}")
    else:
        click.echo(f"{view['model_name']}/{view['model_version']} is being deployed at {view['url']}.")


@deployment.command("confirm")
@click.argument("name")
@click.argument("version")
@in_project
@as_json
def confirm(name: str, version: str, slug: str, json_: bool) -> None:
    """Deploy the VERSION that was asked for.

    A notebook (%deploy) or a contributor has asked for it at the endpoint NAME.
    """
    view = connect().post(at("projects", slug, "deployments", name, "confirm"), {"version": version})
    if json_:
        print_json(view)
    else:
        click.echo(f"{view['model_name']}/{view['model_version']} is being deployed at {view['url']}.")


@deployment.command("delete")
@click.argument("name")
@in_project
@as_json
def delete(name: str, slug: str, json_: bool) -> None:
    """Take an endpoint down; its tokens end."""
    connect().request("DELETE", at("projects", slug, "deployments", name))
    if json_:
        print_json({"project": slug, "name": name, "removed": True})
    else:
        click.echo(f"The endpoint {name} is gone.")


@deployment.command("token")
@click.argument("name")
@click.option("--label", required=True, help="Whom it is for.")
@click.option("--days", type=DAYS, default=90, show_default=True, help="Valid so long.")
@in_project
@as_json
def token(name: str, label: str, days: float, slug: str, json_: bool) -> None:
    """Make a predict-only token. It is shown this once."""
    made = connect().post(at("projects", slug, "deployments", name, "tokens"), {"label": label, "days": days})
    if json_:
        print_json(made)
    else:
        click.echo(made["token"])


@deployment.command("tokens")
@click.argument("name")
@in_project
@as_json
def tokens(name: str, slug: str, json_: bool) -> None:
    """Valid tokens of an endpoint, without their texts."""
    items = list(connect().items(at("projects", slug, "deployments", name, "tokens")))
    if json_:
        print_json(items)
    else:
        rows = [(key["id"], key["label"], key["created_by"], ago(key["created_at"])) for key in items]
        click.echo(table(rows, ("ID", "LABEL", "BY", "CREATED")))


@deployment.command("revoke")
@click.argument("name")
@click.argument("token_id")
@in_project
@as_json
def revoke(name: str, token_id: str, slug: str, json_: bool) -> None:
    """End a token; TOKEN_ID is in `himalia deployment tokens`."""
    connect().request("DELETE", at("projects", slug, "deployments", name, "tokens", token_id))
    if json_:
        print_json({"project": slug, "name": name, "id": token_id, "removed": True})
    else:
        click.echo("The token is void.")


def _waiting(view: dict[str, Any]) -> str:
    """What a person has to do for a version that was asked for."""
    name, version = view["name"], view["requested_version"]
    command = f"himalia deployment confirm {name} {version} -p {view['project']}"
    return f"{name}: version {version} waits for a confirmation: {command}"
