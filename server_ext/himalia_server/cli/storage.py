"""`himalia gc`: remove what nothing refers to any more."""

from __future__ import annotations

import click

from .api import connect
from .options import as_json
from .output import print_json, several, size


@click.command("gc")
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be removed.")
@as_json
def gc(dry_run: bool, json_: bool) -> None:
    """Remove old runs and results as projects' [retention] says, and content that nothing refers to.

    Runs may go on meanwhile. The service does the same once a day.
    """
    view = connect().post("/storage/collect", {"dry_run": dry_run})
    if json_:
        print_json(view)
        return
    verb = "Would remove" if dry_run else "Removed"
    click.echo(
        f"{verb} {several(view['runs'], 'run')}, {several(view['results'], 'result')} and "
        f"{several(view['objects'], 'file')} of content ({size(view['bytes'])})."
    )
    click.echo(f"Kept: {several(view['kept_objects'], 'file')} ({size(view['kept_bytes'])}).")
    if view["missing"]:
        click.echo(
            f"{several(view['missing'], 'file')} should be there and is not: its stages run again when they are needed."
        )
