"""`himalia project check`: what is wrong with a manifest; and its JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .api import at, connect
from .options import as_json
from .output import print_json, several, writing

MARKS = {"error": "error", "warning": "warning", "info": "note"}


@click.command("check")
@click.argument("project", default=".")
@as_json
def check(project: str, json_: bool) -> None:
    """All that is wrong with a project's himalia.toml, with line and key.

    PROJECT is a name, or a folder (default: this one), which needs no service. The exit code is 1 when there are
    errors.
    """
    here = project == "." or "/" in project or Path(project, "himalia.toml").exists()
    found = _in_folder(Path(project)) if here else connect().get(at("projects", project, "problems"))
    errors = sum(problem["severity"] == "error" for problem in found["items"])
    if json_:
        print_json(found)
    else:
        for problem in found["items"]:
            where = f"{problem['file']}:{problem['line']}:{problem['column']}"
            key = f"{problem['key']}: " if problem["key"] else ""
            click.echo(f"{where}: {MARKS[problem['severity']]}: {key}{problem['message']}")
            if problem["hint"]:
                click.echo(f"  → {problem['hint']}")
        click.echo(several(errors, "error") if errors else "No errors.")
    if errors:
        raise SystemExit(1)


def _in_folder(folder: Path) -> dict[str, Any]:
    from ..projects import check_folder  # only now: it takes its time

    return check_folder(folder.expanduser().absolute()).model_dump()


@click.command("schema")
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Write it to this file.")
def schema(output: str | None) -> None:
    """The JSON schema of himalia.toml, for editors.

    New projects have a copy, which their first line names.
    """
    from ..projects import schema_text

    if output is None:
        click.echo(schema_text(), nl=False)
    else:
        with writing(Path(output)):
            Path(output).write_text(schema_text(), encoding="utf-8")
        click.echo(output)
