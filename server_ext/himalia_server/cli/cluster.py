"""`himalia cluster …`."""

from __future__ import annotations

import click

from .api import at, connect
from .options import as_json, in_project
from .output import print_json, several, size, table


@click.group()
def cluster() -> None:
    """Dask clusters of a project."""


@cluster.command("list")
@in_project
@as_json
def list_clusters(slug: str, json_: bool) -> None:
    """Clusters of a project."""
    items = list(connect().items(at("projects", slug, "clusters")))
    if json_:
        print_json(items)
    elif not items:
        click.echo(f"No cluster. Start one: himalia cluster start local --project {slug}")
    else:
        rows = [
            (
                c["name"],
                c["state"],
                f"{c['workers']}/{c['wanted']}",
                c["threads"],
                size(c["memory_bytes"]),
                c["error"],
            )
            for c in items
        ]
        click.echo(table(rows, ("NAME", "STATE", "WORKERS", "THREADS", "MEMORY", "ERROR")))


@cluster.command("start")
@click.argument("name", default="local")
@in_project
@click.option("--workers", "-w", type=int, help="Default: one a core.")
@click.option("--threads", "-t", type=int, default=1, show_default=True, help="Threads of a worker.")
@click.option("--memory", "-m", help="Of a worker, for example 2GiB. Default: half the machine, divided.")
@as_json
def start(name: str, slug: str, workers: int | None, threads: int, memory: str | None, json_: bool) -> None:
    """Start a cluster of processes on this machine."""
    body = {"name": name, "workers": workers, "threads_per_worker": threads, "memory_limit": memory}
    view = connect().post(at("projects", slug, "clusters"), body)
    if json_:
        print_json(view)
    else:
        click.echo(f"The cluster {name} of {slug} is starting with {several(view['wanted'], 'worker')}.")


@cluster.command("scale")
@click.argument("name")
@click.argument("workers", type=int)
@in_project
@as_json
def scale(name: str, workers: int, slug: str, json_: bool) -> None:
    """Change the number of workers."""
    view = connect().request("PATCH", at("projects", slug, "clusters", name), json={"workers": workers})
    if json_:
        print_json(view)
    else:
        click.echo(f"The cluster {name} goes to {several(workers, 'worker')}.")


@cluster.command("stop")
@click.argument("name")
@in_project
@as_json
def stop(name: str, slug: str, json_: bool) -> None:
    """Stop a cluster; what it computes is lost."""
    connect().request("DELETE", at("projects", slug, "clusters", name))
    if json_:
        print_json({"project": slug, "name": name, "stopped": True})
    else:
        click.echo(f"The cluster {name} is stopped.")
