"""`himalia run …`: runs of a project's pipeline."""

from __future__ import annotations

import json
import time
from codecs import getincrementaldecoder
from pathlib import Path
from typing import Any

import click

from .api import Api, Refused, at, connect
from .options import as_json, in_project
from .output import Failure, ago, print_json, table, writing

FOLLOW_SECONDS = 0.5
"""Between looks at a log that does not grow."""


@click.group()
def run() -> None:
    """Runs of a project's pipeline."""


@run.command("start")
@in_project
@click.option("--param", "-P", "params", multiple=True, metavar="STAGE.NAME=VALUE", help="VALUE is JSON, or a text.")
@click.option("--notebook", metavar="NOTEBOOK", help="Run this notebook; its parameters are -P NAME=VALUE.")
@click.option("--input", "inputs", multiple=True, metavar="PATH", help="A file that the notebook reads.")
@click.option("--no-wait", is_flag=True, help="Return when it has started.")
@as_json
def start(
    slug: str, params: tuple[str, ...], notebook: str | None, inputs: tuple[str, ...], no_wait: bool, json_: bool
) -> None:
    """Run the pipeline, or one notebook, on a snapshot of the project as it is now."""
    from .pipeline import follow

    if inputs and not notebook:
        raise Failure("--input goes with --notebook.", "Inputs of stages are named in himalia.toml.", 2)
    given = parse_parameters(tuple(f"notebook.{text}" for text in params) if notebook else params)
    body: dict[str, Any] = {"params": given}
    if notebook:
        body |= {"notebook": notebook, "inputs": list(inputs)}
    api = connect()
    before = api.get("/service")["last_event"]
    follow(api, before, api.post(at("projects", slug, "runs"), body), no_wait, json_)


@run.command("resume")
@click.argument("run_id")
@in_project
@click.option("--no-wait", is_flag=True, help="Return when it has started.")
@as_json
def resume(run_id: str, slug: str, no_wait: bool, json_: bool) -> None:
    """Go on where a run failed: a new run with the same parameters, of the project as it is now."""
    from .pipeline import follow

    api = connect()
    before = api.get("/service")["last_event"]
    follow(api, before, api.post(at("projects", slug, "runs", run_id, "resume"), {}), no_wait, json_)


@run.command("compare")
@click.argument("run_ids", nargs=-1, required=True)
@in_project
@as_json
def compare(run_ids: tuple[str, ...], slug: str, json_: bool) -> None:
    """Runs side by side: what differs."""
    if not 2 <= len(run_ids) <= 10:
        raise Failure("Name two to ten runs.", f"himalia run list -p {slug} shows them.", 2)
    view = connect().get(at("projects", slug, "runs", "compare"), runs=list(run_ids))
    if json_:
        print_json(view)
        return
    if not view["differences"]:
        click.echo("Nothing differs.")
        return
    rows = [
        (one["stage"] or "", one["part"], one["name"], *(_short(value) for value in one["values"]))
        for one in view["differences"]
    ]
    click.echo(table(rows, ("STAGE", "WHAT", "NAME", *run_ids)))
    click.echo(f"\n{len(view['same'])} other facts are the same.")


@run.command("restore")
@click.argument("run_id")
@in_project
@as_json
def restore(run_id: str, slug: str, json_: bool) -> None:
    """Put the outputs of a run into the project's folder."""
    view = connect().post(at("projects", slug, "runs", run_id, "outputs", "restore"))
    if json_:
        print_json(view)
    else:
        click.echo("\n".join(view["paths"]) or "All is in place already.")


@run.command("list")
@in_project
@click.option("--kind", type=click.Choice(["pipeline", "notebook", "verification"]), help="Only runs of this kind.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def list_runs(slug: str, limit: int, kind: str | None, json_: bool) -> None:
    """Runs, newest first."""
    items = connect().get(at("projects", slug, "runs"), limit=limit, **({"kind": kind} if kind else {}))["items"]
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
    print_run(connect().get(at("projects", slug, "runs", run_id)), json_)


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
@click.option("--follow", "-f", is_flag=True, help="Go on until the stage has ended.")
def log(run_id: str, stage: str, slug: str, follow: bool) -> None:
    """What a stage printed."""
    api = connect()
    path = at("projects", slug, "runs", run_id, "stages", stage, "log")
    if follow:
        _follow_log(api, path, at("projects", slug, "runs", run_id), stage)
    else:
        click.echo(_download(api, path).decode(errors="replace"))


def _follow_log(api: Api, path: str, run: str, stage: str) -> None:
    """Print the log as it grows, from before the stage has begun if need be."""
    decoder = getincrementaldecoder("utf-8")(errors="replace")
    known = 0
    while True:
        found = next((one for one in api.get(run)["stages"] if one["name"] == stage), None)
        reply = api.send("GET", path, params={"offset": known})
        begun = reply.is_success
        if not begun and (found is None or found["status"] not in ("pending", "waiting", "running")):
            raise Refused.by(reply)
        if begun and reply.content:
            known = int(reply.headers["himalia-offset"]) + len(reply.content)
            click.echo(decoder.decode(reply.content), nl=False)
        elif found is not None and found["status"] not in ("pending", "waiting", "running"):
            return
        else:
            time.sleep(FOLLOW_SECONDS)


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


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 24 else text[:23] + "…"


def print_run(view: dict[str, Any], json_: bool) -> None:
    """A run with its stages."""
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
