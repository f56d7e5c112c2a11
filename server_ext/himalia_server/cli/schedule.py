"""`himalia schedule …`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import click

from .api import at, connect
from .options import as_json, in_project, project_here
from .output import Failure, ago, print_json, table
from .run import parse_parameters

_MARKS = {"started": "started", "queued": "waiting", "skipped": "skipped"}


@click.group()
def schedule() -> None:
    """Schedules: the pipeline, or a notebook, runs by the clock, each time once.

    A schedule runs the code of the day it was made, or last updated: `himalia schedule update NAME`.
    """


def _local_zone() -> str:
    """The zone of this machine, by its name; UTC when it says none."""
    chosen = os.environ.get("TZ", "").removeprefix(":")
    if chosen in available_timezones():
        return chosen
    try:
        place = Path("/etc/localtime").resolve().as_posix()
    except OSError:
        return "UTC"
    return place.partition("/zoneinfo/")[2] or "UTC"


def _params(given: tuple[str, ...], notebook: str | None) -> dict[str, Any]:
    """`stage.name=value` of a pipeline, `name=value` of a notebook."""
    if notebook is None:
        return dict(parse_parameters(given))
    return parse_parameters(tuple(f"notebook.{text}" for text in given)).get("notebook", {})


def _choices(function: Any) -> Any:
    """Options that making and changing share."""
    for option in (
        click.option("--deadline", metavar="TIME", help="Start at most so long after its time: 30m, 2h."),
        click.option("--overlap", help="While the run before goes on: skip, queue(N), cancel or allow."),
        click.option("--catch-up", help="What was missed while nothing ran: none, last or all(N)."),
        click.option("--zone", metavar="ZONE", help="IANA time zone, for example Europe/Berlin."),
    ):
        function = option(function)
    return function


@schedule.command("create")
@click.argument("name")
@click.option("--cron", required=True, help='For example "30 2 * * 1-5", or @daily.')
@_choices
@click.option("--notebook", metavar="PATH", help="Run this notebook; default: the pipeline.")
@click.option("--param", "-P", "params", multiple=True, metavar="STAGE.NAME=VALUE", help="Of a notebook: NAME=VALUE.")
@click.option("--input", "inputs", multiple=True, metavar="PATH", help="A file that the notebook reads.")
@click.option("--paused", is_flag=True, help="Make it, and start nothing yet.")
@in_project
@as_json
def create(
    name: str,
    cron: str,
    zone: str | None,
    catch_up: str | None,
    overlap: str | None,
    deadline: str | None,
    notebook: str | None,
    params: tuple[str, ...],
    inputs: tuple[str, ...],
    paused: bool,
    slug: str,
    json_: bool,
) -> None:
    """Run the pipeline, or a notebook, by the clock.

    For example: himalia schedule create nightly --cron "30 2 * * 1-5" --zone Europe/Berlin

    A notebook finds the time that it is run for in the variable HIMALIA_SLOT (ISO 8601), also when it is made up for.
    """
    if inputs and notebook is None:
        raise Failure("--input is for a notebook.", "The inputs of stages stand in himalia.toml.", code=2)
    target: dict[str, Any] = {"kind": "pipeline", "params": _params(params, notebook)}
    if notebook is not None:
        target |= {"kind": "notebook", "notebook": notebook, "inputs": list(inputs)}
    body: dict[str, Any] = {"name": name, "target": target, "cron": cron, "zone": zone or _local_zone()}
    chosen = {"catch_up": catch_up, "overlap": overlap, "deadline": deadline}
    body |= {key: value for key, value in chosen.items() if value is not None} | {"paused": paused}
    view = connect().post(at("projects", slug, "schedules"), body)
    if json_:
        print_json(view)
        return
    click.echo(f"{name} runs {_runs(view)} {view['description']}, {view['zone']}.")
    _say_code(view)
    _say_next(view)


@schedule.command("list")
@in_project
@as_json
def list_schedules(slug: str, json_: bool) -> None:
    """Schedules of a project."""
    items = list(connect().items(at("projects", slug, "schedules")))
    if json_:
        print_json(items)
    elif not items:
        click.echo(f"No schedule yet. Make one: himalia schedule create NAME --cron @daily --project {slug}")
    else:
        rows = [(s["name"], _runs(s), s["description"], s["zone"], _state(s), _last(s["last"])) for s in items]
        click.echo(table(rows, ("NAME", "RUNS", "WHEN", "ZONE", "NEXT", "LAST")))


@schedule.command("show")
@click.argument("name")
@in_project
@as_json
def show(name: str, slug: str, json_: bool) -> None:
    """One schedule: what it runs, when, and what became of its newest slot."""
    view = connect().get(at("projects", slug, "schedules", name))
    if json_:
        print_json(view)
        return
    click.echo(f"{view['name']} runs {_runs(view)} {view['description']}, {view['zone']} ({view['cron']}).")
    deadline = f", start deadline {view['deadline']:,.0f} s" if view["deadline"] else ""
    click.echo(
        f"Catch-up {view['catch_up']}, overlap {view['overlap']}{deadline}; in the name of {view['created_by']}."
    )
    _say_code(view)
    if view["trouble"]:
        click.echo(f"! {view['trouble']}")
    if view["last"]:
        click.echo(f"Last: {_last(view['last'])}" + (f" ({view['last']['reason']})" if view["last"]["reason"] else ""))
    for run in view["active"]:
        click.echo(f"Goes on: the run {run}")
    _say_next(view)


@schedule.command("next")
@click.argument("name", required=False)
@click.option("--cron", help="Of this expression, before a schedule is made of it.")
@click.option("--zone", metavar="ZONE", help="IANA time zone. Default: this machine's.")
@click.option("--project", "-p", "slug", help="The project's name. Default: that of this folder.")
@as_json
def following(name: str | None, cron: str | None, zone: str | None, slug: str | None, json_: bool) -> None:
    """The next five times of the schedule NAME, or of an expression."""
    if (name is None) == (cron is None):
        raise Failure(
            "Say which: a schedule's NAME, or --cron.", 'For example: himalia schedule next --cron "0 2 * * *"', 2
        )
    if cron is not None:
        view = connect().request("POST", "/schedules/preview", json={"cron": cron, "zone": zone or _local_zone()})
    elif zone is not None:
        raise Failure("--zone goes with --cron: a schedule has its own.", code=2)
    else:
        view = connect().get(at("projects", project_here(slug), "schedules", str(name)))
    if json_:
        print_json(view["next"])
        return
    click.echo(f"{view['description']}, {view['zone']}")
    _say_next(view)


@schedule.command("pause")
@click.argument("name")
@in_project
@as_json
def pause(name: str, slug: str, json_: bool) -> None:
    """Start nothing more of NAME until it is resumed."""
    view = connect().request("POST", at("projects", slug, "schedules", name, "pause"), json={})
    if json_:
        print_json(view)
        return
    click.echo(f"{name} is paused. Go on with: himalia schedule resume {name} --project {slug}")
    for run in view["active"]:
        click.echo(f"The run {run} goes on; stop it with: himalia run cancel {run} --project {slug}")


@schedule.command("resume")
@click.argument("name")
@in_project
@as_json
def resume(name: str, slug: str, json_: bool) -> None:
    """Go on with the next slot of NAME; those of the pause are recorded, and not run."""
    view = connect().request("POST", at("projects", slug, "schedules", name, "resume"), json={})
    if json_:
        print_json(view)
        return
    click.echo(f"{name} goes on.")
    _say_next(view)


@schedule.command("run")
@click.argument("name")
@in_project
@as_json
def run_now(name: str, slug: str, json_: bool) -> None:
    """Run NAME now, once, beside its slots."""
    view = connect().post(at("projects", slug, "schedules", name, "run"))
    if json_:
        print_json(view)
    else:
        click.echo(f"The run {view['id']} has begun: himalia run show {view['id']} --project {slug}")


@schedule.command("update")
@click.argument("name")
@click.option("--code", is_flag=True, help="Run the project's code of now. What happens when nothing else is named.")
@click.option("--cron", help="Other times.")
@_choices
@click.option("--param", "-P", "params", multiple=True, metavar="STAGE.NAME=VALUE", help="All parameters, anew.")
@in_project
@as_json
def update(
    name: str,
    code: bool,
    cron: str | None,
    zone: str | None,
    catch_up: str | None,
    overlap: str | None,
    deadline: str | None,
    params: tuple[str, ...],
    slug: str,
    json_: bool,
) -> None:
    """Have NAME run the project's code of now, or change when and how it runs.

    Who updates the code or the parameters is in whose name it runs from then on. --deadline none takes it away.
    """
    place = at("projects", slug, "schedules", name)
    api = connect()
    chosen = {"cron": cron, "zone": zone, "catch_up": catch_up, "overlap": overlap}
    body: dict[str, Any] = {key: value for key, value in chosen.items() if value is not None}
    if deadline is not None:
        body["deadline"] = None if deadline == "none" else deadline
    if params:
        target = api.get(place)["target"]
        body["target"] = target | {"params": _params(params, target.get("notebook"))}
    view: dict[str, Any] = {}
    if body:
        view = api.request("PATCH", place, json=body)
    if code or not body:
        view = api.request("POST", f"{place}/update-code", json={})
    if json_:
        print_json(view)
        return
    if "before" in view:
        same = "" if view["changed"] else " It is the same as before."
        click.echo(f"{name} runs the code of now: {view['before'][:19]} → {view['pinned']['snapshot'][:19]}.{same}")
    else:
        click.echo(f"{name} is changed.")
    _say_next(view)


@schedule.command("delete")
@click.argument("name")
@in_project
@as_json
def delete(name: str, slug: str, json_: bool) -> None:
    """Forget NAME and its history; its runs stay."""
    connect().request("DELETE", at("projects", slug, "schedules", name))
    if json_:
        print_json({"project": slug, "name": name, "removed": True})
    else:
        click.echo(f"{name} is gone. Its runs stay: himalia run list --project {slug}")


@schedule.command("history")
@click.argument("name")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="So many, newest first.")
@in_project
@as_json
def history(name: str, limit: int, slug: str, json_: bool) -> None:
    """What became of the slots of NAME: started, waiting, or skipped and why."""
    items = connect().get(at("projects", slug, "schedules", name, "slots"), limit=limit)["items"]
    if json_:
        print_json(items)
    elif not items:
        click.echo("No slot has passed yet.")
    else:
        rows = [
            (_minute(s["local"]), _MARKS.get(s["state"], s["state"]), s["run_id"], s["run_status"], s["reason"])
            for s in items
        ]
        click.echo(table(rows, ("SLOT", "STATE", "RUN", "STATUS", "WHY")))


def _runs(view: dict[str, Any]) -> str:
    target = view["target"]
    return str(target["notebook"]) if target["kind"] == "notebook" else "the pipeline"


def _state(view: dict[str, Any]) -> str:
    if view["paused"]:
        return "paused"
    return _minute(view["next"][0]["local"]) if view["next"] else "never"


def _last(slot: dict[str, Any] | None) -> str:
    if slot is None:
        return ""
    what = slot["run_status"] or _MARKS.get(slot["state"], slot["state"])
    return f"{what} {ago(slot['decided_at'])}"


def _minute(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M")


def _say_code(view: dict[str, Any]) -> None:
    pinned = view["pinned"]
    dirty = " with changes that are not committed" if pinned["dirty"] else ""
    commit = f", commit {pinned['commit'][:10]}{dirty}" if pinned["commit"] else ""
    click.echo(f"Code: {pinned['snapshot'][:19]}{commit}")


def _say_next(view: dict[str, Any]) -> None:
    if view.get("paused"):
        click.echo("It is paused.")
        return
    rows = [(_minute(time["local"]), f"{time['utc'][:16].replace('T', ' ')}", _moved(time)) for time in view["next"]]
    click.echo(table(rows, ("NEXT (LOCAL)", "UTC", "")) if rows else "It never comes again.")


def _moved(time: dict[str, Any]) -> str:
    asked = time["slot"].partition("[")[0].partition("T")[2]
    return f"clocks go forward over {asked}" if time["moved"] else ""
