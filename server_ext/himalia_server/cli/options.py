"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from .api import at, connect

as_json = click.option("--json", "json_", is_flag=True, help="One JSON document on standard output.")


def project_here(given: str | None) -> str:
    """The project that is named, else that of the folder one stands in.

    Raises:
        UsageError: it is no project's folder.
    """
    if given is not None:
        return given
    here = Path.cwd()
    folder = next((place for place in (here, *here.parents) if (place / "himalia.toml").is_file()), None)
    if folder is None:
        raise click.UsageError("Say which project: --project NAME, or go into its folder.")
    found = connect().post(at("project-locations"), {"path": str(folder)})
    if found["project"] is None or found["state"] not in ("here", "moved"):
        raise click.UsageError(
            f"{folder} is no project of this site. Say which one: --project NAME, or make it one: "
            f"himalia project create --path {folder}"
        )
    return str(found["project"]["slug"])


in_project = click.option(
    "--project",
    "-p",
    "slug",
    callback=lambda _context, _option, given: project_here(given),
    help="The project's name. Default: that of this folder.",
)
