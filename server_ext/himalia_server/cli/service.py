"""`himalia up | down | status | logs`."""

from __future__ import annotations

import re
import time
from collections import deque
from pathlib import Path

import click

from ..service import lifecycle
from ..service.lifecycle import ServiceError
from ..service.site import Site
from .api import connect, open_site
from .options import as_json
from .output import Failure, ago, print_json, table


@click.command()
@as_json
def up(json_: bool) -> None:
    """Start the service, unless it runs."""
    site = open_site()
    before = lifecycle.find(site)
    api = connect()
    if json_:
        print_json({"started": before is None, "address": api.found.address, "pid": api.found.identity.pid})
    else:
        what = "runs already" if before is not None else "is up"
        click.echo(f"The service {what} at {api.found.address} (pid {api.found.identity.pid}).")


@click.command()
@as_json
def down(json_: bool) -> None:
    """Stop the service and all that it started.

    That is runs, clusters, endpoints and MLflow.
    """
    ended: list[str] = []
    if Site.exists():
        site = open_site()
        try:
            found = lifecycle.find(site)
            if found is not None:
                lifecycle.stop(found)
                ended.append("service")
            # what a killed service had left behind
            ended += lifecycle.sweep(site)
        except (ServiceError, OSError) as error:
            raise Failure(str(error)) from error
    if json_:
        print_json({"stopped": bool(ended), "ended": ended})
    elif not ended:
        click.echo("The service does not run.")
    elif "service" in ended:
        click.echo("The service is down, and what it had started too.")
    else:
        click.echo(f"The service had been killed; what it had left running is down now: {', '.join(ended)}.")


@click.command()
@as_json
def status(json_: bool) -> None:
    """Say what runs."""
    if not Site.exists() or lifecycle.find(open_site()) is None:
        if json_:
            print_json({"running": False})
        else:
            click.echo("The service does not run. Start it with: himalia up")
        raise SystemExit(3)
    api = connect(start=False)
    service = api.get("/service")
    projects = list(api.items("/projects"))
    if json_:
        print_json({"running": True, "address": api.found.address, **service, "projects": projects})
        return
    click.echo(
        f"Himalia {service['version']}, site {service['site']} in {api.site.home}\n"
        f"service  {api.found.address}, pid {service['pid']}, up since {ago(service['started_at'])}\n"
        f"MLflow   {service['tracking']}"
    )
    if service["children"]:
        processes = [(child["name"], child["pid"]) for child in service["children"]]
        click.echo("\n" + table(processes, ("PROCESS", "PID")))
    if projects:
        rows = [(project["slug"], project["role"], project["path"]) for project in projects]
        click.echo("\n" + table(rows, ("PROJECT", "ROLE", "FOLDER")))
    else:
        click.echo("\nNo project yet. Try: himalia demo")


@click.command()
@click.argument("name", default="service")
@click.option(
    "--lines", "-n", default=50, show_default=True, type=click.IntRange(0), help="How many of the last lines."
)
@click.option("--follow", "-f", is_flag=True, help="Go on as the log grows.")
@click.option("--request", metavar="ID", help="Lines of all logs that belong to this request.")
def logs(name: str, lines: int, follow: bool, request: str | None) -> None:
    """Show the log of the service or of a process.

    NAME is one that `himalia status` shows (mlflow, gateway, …).

    Each answer of the service has an id (X-Request-ID) that is also in the logs of what the request has started.
    """
    site = open_site()
    if request is not None:
        _show_request(site, request)
        return
    path = site.log(name)
    if not name or "/" in name or len(name) > 200 or not path.exists():
        known = ", ".join(sorted(entry.stem for entry in path.parent.glob("*.log"))) or "none yet"
        raise Failure(f"There is no log {name!r}.", f"Logs: {known}.", code=4)
    with path.open(errors="replace") as file:
        for line in deque(file, maxlen=lines):
            click.echo(line, nl=False)
        while follow:
            line = file.readline()
            if line:
                click.echo(line, nl=False)
            elif _rotated(path, file.tell()):
                file.seek(0)
            else:
                time.sleep(0.3)


def _show_request(site: Site, request: str) -> None:
    """Print the lines of a request from all logs, those of the log that was written to last at the end."""
    word = re.compile(rf"(?<![\w-]){re.escape(request)}(?![\w-])")
    found = False
    files = (path for path in (site.home / "logs").glob("*.log*") if path.is_file())
    for path in sorted(files, key=lambda path: path.stat().st_mtime):
        with path.open(errors="replace") as file:
            for line in file:
                if word.search(line):
                    found = True
                    click.echo(f"{path.name.partition('.log')[0]}: {line.rstrip()}")
    if not found:
        raise Failure(f"No log has a line of request {request!r}.", "Older lines are gone: logs are rotated.", code=4)


def _rotated(path: Path, position: int) -> bool:
    return path.exists() and path.stat().st_size < position
