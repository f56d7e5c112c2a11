"""`himalia environment …`: what the code of a project runs in."""

from __future__ import annotations

import sys
from typing import Any

import click

from .api import Api, at, connect
from .options import as_json, in_project
from .output import Progress, ago, print_json, several, size, table

which = click.option(
    "--environment", "-e", "name", metavar="NAME", help="One of [environments] in himalia.toml. Default: its own."
)
ENDS = ("environment.ready", "environment.failed", "environment.cancelled")


_STATES = {"none": "not built yet"}


@click.group()
def environment() -> None:
    """What the code of a project runs in: the site's own packages, or an environment built from its sources."""


@environment.command("show")
@in_project
@which
@as_json
def show(slug: str, name: str | None, json_: bool) -> None:
    """What a project runs in, and whether that is what its himalia.toml asks for."""
    _print(connect().get(_at(slug), **_of(name)), json_)


@environment.command("build")
@in_project
@which
@click.option("--upgrade", is_flag=True, help="Take the newest versions that the source allows.")
@click.option("--follow/--no-follow", default=None, help="Wait, and tell how far it is. Default: on a terminal.")
@as_json
def build(slug: str, name: str | None, upgrade: bool, follow: bool | None, json_: bool) -> None:
    """Build the environment that a project's himalia.toml asks for, unless it is there."""
    api = connect()
    before = api.get("/service")["last_event"]
    answer = api.post(_at(slug), {"upgrade": upgrade}, params=_of(name))
    view = answer["environment"]
    if view["state"] == "building" and (sys.stderr.isatty() if follow is None else follow):
        progress = Progress(1, quiet=json_)
        try:
            progress.step(f"environment {name} of {slug}" if name else f"environment of {slug}")
            view = _follow(api, slug, name, view, before, progress)
            progress.done(view["build"]["state"])
        finally:
            progress.close()
    if json_:
        print_json(answer | {"environment": view})
    else:
        _print(view, json_)
        if view["state"] == "building":
            chosen = f" -e {name}" if name else ""
            click.echo(f"It is built in the background: himalia environment log{chosen} --project {slug} --follow")
    if view["state"] == "failed":
        raise SystemExit(1)


def _follow(
    api: Api, slug: str, name: str | None, view: dict[str, Any], after: int, progress: Progress
) -> dict[str, Any]:
    """Tell each step until the build has ended; survives a restart of the service."""
    build_id = view["build"]["id"]
    for event in api.events(after):
        if event["topic"] == "reconnected":
            progress.update("the service was restarted; the build goes on")
        elif event["subject"] != build_id:
            continue
        elif event["topic"] == "environment.step":
            progress.update(event["data"]["step"])
        if event["topic"] in (*ENDS, "reconnected"):
            view = api.get(_at(slug), **_of(name))
            if view["build"]["id"] != build_id or view["build"]["state"] != "building":
                return view
    return view


@environment.command("cancel")
@in_project
@which
@as_json
def cancel(slug: str, name: str | None, json_: bool) -> None:
    """Stop the build that runs; what was there before stays."""
    _print(connect().request("DELETE", _at(slug), params=_of(name)), json_)


@environment.command("log")
@in_project
@which
@click.option("--build", "build_id", help="Of this build. Default: of the last one.")
@click.option("--follow/--no-follow", default=None, help="Until the build has ended. Default: on a terminal.")
def log(slug: str, name: str | None, build_id: str | None, follow: bool | None) -> None:
    """What a build has said."""
    chosen = _of(name) | ({"build": build_id} if build_id else {})
    going = sys.stdout.isatty() if follow is None else follow
    for block in connect().blocks(_at(slug) + "/log", follow=going, **chosen):
        sys.stdout.buffer.write(block)
        sys.stdout.flush()


@environment.command("packages")
@in_project
@which
@as_json
def packages(slug: str, name: str | None, json_: bool) -> None:
    """The packages of a project's lock."""
    items = list(connect().items(_at(slug) + "/packages", **_of(name)))
    if json_:
        print_json(items)
        return
    rows = [(p["name"], p["version"], "yes" if p["installed"] else "no", p["marker"]) for p in items]
    click.echo(table(rows, ("PACKAGE", "VERSION", "HERE", "WHERE")))


@environment.command("list")
@as_json
def list_all(json_: bool) -> None:
    """All environments on the site's disk."""
    items = connect().get("/environments")["items"]
    if json_:
        print_json(items)
    elif not items:
        click.echo("No environment was built at this site.")
    else:
        rows = [
            (e["key"], e["projects"], e["packages"], size(e["bytes"]), "now" if e["in_use"] else ago(e["used_at"]))
            for e in items
        ]
        click.echo(table(rows, ("ENVIRONMENT", "PROJECTS", "PACKAGES", "SIZE", "USED")))


@environment.command("prune")
@click.option("--days", default=0, show_default=True, type=click.IntRange(0, 3650), help="Unused for so many days.")
@as_json
def prune(days: int, json_: bool) -> None:
    """Remove environments that no project, kernel or run uses."""
    done = connect().post("/environments/prune", {"days": days})
    if json_:
        print_json(done)
    elif not done["removed"]:
        late = f" or was used within {days} days" if days else ""
        click.echo(f"Nothing to remove: each environment is in use{late}.")
    else:
        click.echo(f"Removed {several(len(done['removed']), 'environment')} with {size(done['bytes'])}.")


def _at(slug: str) -> str:
    return at("projects", slug, "environment")


def _of(name: str | None) -> dict[str, str]:
    return {"environment": name} if name else {}


def _print(view: dict[str, Any], json_: bool) -> None:
    if json_:
        print_json(view)
        return
    click.echo(_headline(view))
    if view["reason"]:
        click.echo(f"  because {view['reason']}")
    if view["error"]:
        click.echo(f"  {view['error']}")
    if view["packages"] is not None:
        shared = f", shared with {several(view['shared_with'], 'other project')}" if view["shared_with"] else ""
        click.echo(f"  {several(view['packages'], 'package')}, {size(view['bytes'])}{shared}")
        click.echo(f"  lock {view['digest']}")
    for note in view["notes"]:
        click.echo(f"  note: {note}")
    if view["kernels_outdated"]:
        count = len(view["kernels_outdated"])
        run = "runs" if count == 1 else "run"
        click.echo(f"  restart to use it: {several(count, 'kernel')} {run} with another environment")
    if view["start"] is not None and view["environment"] is None:
        _print_start(view["start"])
    if view["others"]:
        states = [f"{one['name']} ({_STATES.get(one['state'], one['state'])})" for one in view["others"]]
        click.echo(f"  for stages that name them: {', '.join(states)}")


def _headline(view: dict[str, Any]) -> str:
    """The state, what is asked for, and what kernels run in when that is something else."""
    if view["state"] in ("shared", "ready"):
        return f"{view['state']}: {view['name']}, Python {view['python']}"
    wanted = f": {view['source']}, {view['kind']}" if view["source"] else ""
    until = {"building": " until it is ready", "none": " until then"}.get(view["state"], "")
    used = "the environment that was built before" if view["packages"] is not None else "the site's own packages"
    state = _STATES.get(view["state"], view["state"])
    if view["environment"] is not None:  # nothing runs in another one instead
        return f"{state}{wanted}"
    return f"{state}{wanted}; kernels use {used} (Python {view['python']}){until}"


def _print_start(start: dict[str, Any]) -> None:
    """What the next kernel finds imported, and what that took."""
    modules = start["modules"]
    if start["state"] == "ready":
        count = several(len(modules), "module")
        click.echo(
            f"  kernels start by fork, with {count} imported once in {start['seconds']:.1f} s "
            f"({size(start['bytes'] or 0)}); {start['forks']} so far"
        )
    elif start["state"] == "starting":
        click.echo("  kernels start as ordinary processes until the zygote has imported its modules")
    else:
        click.echo(f"  kernels start as ordinary processes: {start['reason']}")
    slow = sorted((one for one in modules if one["seconds"]), key=lambda one: -one["seconds"])[:5]
    if slow:
        click.echo("    the slowest imports: " + ", ".join(f"{one['name']} {one['seconds']:.1f} s" for one in slow))
    for one in modules:
        if one["problem"] and one["problem"] != "not installed":
            click.echo(f"    {one['name']} could not be imported: {one['problem']}")
