"""`himalia audit …`."""

from __future__ import annotations

import time

import click

from .api import connect
from .options import as_json
from .output import Failure, print_json, table


@click.group()
def audit() -> None:
    """Who did what, and who was refused."""


@audit.command("list")
@click.option("--limit", "-n", default=30, show_default=True, type=click.IntRange(1, 500))
@as_json
def list_rows(limit: int, json_: bool) -> None:
    """The newest rows of the audit log."""
    items = connect().get("/audit", limit=limit)["items"]
    if json_:
        print_json(items)
        return
    rows = [
        (
            r["seq"],
            _when(r["at"]),
            r["actor"],
            r["purpose"],
            r["action"],
            r["outcome"],
            r["project"],
            r["subject"],
        )
        for r in items
    ]
    click.echo(table(rows, ("NO", "AT", "WHO", "AS", "ACTION", "OUTCOME", "PROJECT", "WHAT")))


@audit.command("check")
@as_json
def check(json_: bool) -> None:
    """Recompute the chain of hashes: was a row changed or removed?"""
    found = connect().get("/audit/check")
    if json_:
        print_json(found)
    elif found["whole"]:
        click.echo(f"All {found['rows']} rows are as they were written.")
    if not found["whole"]:
        raise Failure(f"Row {found['first_bad']} was changed, or the row before it is gone.")


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
