"""`himalia run …`: runs of a project's pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .api import Api, Refused, at, connect
from .follow import follow_run
from .options import as_json, in_project
from .output import Failure, Progress, ago, print_json, table, writing


@click.group()
def run() -> None:
    """Runs of a project's pipeline."""


@run.command("start")
@in_project
@click.option("--param", "-P", "params", multiple=True, metavar="STAGE.NAME=VALUE", help="VALUE is JSON, or a text.")
@click.option("--no-wait", is_flag=True, help="Return when it has started.")
@as_json
def start(slug: str, params: tuple[str, ...], no_wait: bool, json_: bool) -> None:
    """Run the pipeline on a snapshot of the project as it is now."""
    api = connect()
    before = api.get("/service")["last_event"]
    view = api.post(at("projects", slug, "runs"), {"params": parse_parameters(params)})
    if not no_wait:
        progress = Progress(1, quiet=json_)
        try:
            progress.step(f"run {view['id']}")
            view = follow_run(api, view, before, progress.update)
            progress.done(view["status"])
        finally:
            progress.close()
    _print(view, json_)
    if view["status"] not in ("succeeded", "pending", "running"):
        raise SystemExit(1)


@run.command("list")
@in_project
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def list_runs(slug: str, limit: int, json_: bool) -> None:
    """Runs, newest first."""
    items = connect().get(at("projects", slug, "runs"), limit=limit)["items"]
    if json_:
        print_json(items)
    elif not items:
        click.echo(f"No run yet. Start one: himalia run start --project {slug}")
    else:
        rows = [(r["id"], r["status"], ago(r["created_at"]), r["created_by"], r["reason"]) for r in items]
        click.echo(table(rows, ("RUN", "STATUS", "STARTED", "BY", "REASON")))


@run.command("show")
@click.argument("run_id")
@in_project
@as_json
def show(run_id: str, slug: str, json_: bool) -> None:
    """One run with its stages."""
    _print(connect().get(at("projects", slug, "runs", run_id)), json_)


@run.command("cancel")
@click.argument("run_id")
@in_project
@as_json
def cancel(run_id: str, slug: str, json_: bool) -> None:
    """Stop a run; the notebook of the running stage is kept."""
    view = connect().post(at("projects", slug, "runs", run_id, "cancel"))
    if json_:
        print_json(view)
    else:
        click.echo(f"The run {run_id} is being cancelled.")


@run.command("log")
@click.argument("run_id")
@click.argument("stage")
@in_project
def log(run_id: str, stage: str, slug: str) -> None:
    """What a stage printed."""
    click.echo(
        _download(connect(), at("projects", slug, "runs", run_id, "stages", stage, "log")).decode(errors="replace")
    )


@run.command("notebook")
@click.argument("run_id")
@click.argument("stage")
@in_project
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Default: STAGE-RUN.ipynb here.")
def notebook(run_id: str, stage: str, slug: str, output: str | None) -> None:
    """Save the executed notebook of a stage."""
    data = _download(connect(), at("projects", slug, "runs", run_id, "stages", stage, "notebook"))
    target = Path(output or f"{stage}-{run_id}.ipynb")
    if target.exists() and output is None:
        raise Failure(f"{target} exists already.", "Name another file with --output.")
    with writing(target):
        target.write_bytes(data)
    click.echo(str(target))


def _download(api: Api, path: str) -> bytes:
    reply = api.send("GET", path)
    if not reply.is_success:
        raise Refused.by(reply)
    return reply.content


def parse_parameters(given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Parameters by stage and name, from texts such as `train.seed=11`.

    Raises:
        Failure: one has another form.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        place, equals, value = text.partition("=")
        stage, dot, name = place.partition(".")
        if not equals or not dot or not stage or not name:
            raise Failure(f"{text!r} is not STAGE.NAME=VALUE.", "For example: -P train.seed=11", code=2)
        try:
            found.setdefault(stage, {})[name] = json.loads(value)
        except ValueError:
            found.setdefault(stage, {})[name] = value
    return found


def _print(view: dict[str, Any], json_: bool) -> None:
    if json_:
        print_json(view)
        return
    click.echo(f"run {view['id']}: {view['status']}" + (f" ({view['reason']})" if view["reason"] else ""))
    rows = []
    for stage in view["stages"]:
        took = stage["ended_at"] - stage["started_at"] if stage["started_at"] and stage["ended_at"] else 0
        rows.append((stage["name"], stage["status"], f"{took:.1f} s" if took > 0 else "", stage["reason"]))
    click.echo(table(rows, ("STAGE", "STATUS", "TOOK", "REASON")))
    for stage in view["stages"]:
        if stage["error"]:
            click.echo(f"\n{stage['name']}: {stage['error']}")
            if stage["hint"]:
                click.echo(f"  → {stage['hint']}")
