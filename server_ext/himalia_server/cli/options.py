"""Options that several commands have."""

from __future__ import annotations

import click

as_json = click.option("--json", "json_", is_flag=True, help="One JSON document on standard output.")
in_project = click.option("--project", "-p", "slug", required=True, help="The project's name.")
