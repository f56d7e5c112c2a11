"""`himalia pipeline …`: the stages of a project, what a run would do, and runs."""

from __future__ import annotations

import json
from typing import Any

import click

from .api import Api, at, connect
from .follow import ENDED, follow_run
from .options import as_json, in_project
from .output import Failure, Progress, ago, print_json, several, size, table
from .run import parse_parameters, print_run

MARKS = {"up_to_date": "unchanged", "changed": "would run", "new": "new", "waits": "waits", "invalid": "cannot run"}
PARTS = {"input": "the input", "module": "the module", "read": "the undeclared file", "file": "the file"}
CHANGES = {"added": "is new", "removed": "is no longer used", "changed": "changed"}


@click.group()
def pipeline() -> None:
    """A project's stages: what has changed, and runs of them."""


@pipeline.command("status")
@in_project
@as_json
def status(slug: str, json_: bool) -> None:
    """What a run would do now, stage by stage, and why."""
    _print_status(connect().get(at("projects", slug, "pipeline")), json_)


def _print_status(view: dict[str, Any], json_: bool) -> None:
    if json_:
        print_json(view)
        return
    if view["problem"]:
        raise Failure(view["problem"], f"All faults at once: himalia project check -p {view['project']}")
    if not view["stages"]:
        click.echo('himalia.toml declares no stage. Add one, for example [stages.prepare] with notebook = "….ipynb".')
        return
    if view["waiting"]:
        click.echo(f"The environment: {view['waiting']}\n")
    rows = [(s["name"], MARKS[s["state"]], s["why"], ago(s["last_ended_at"])) for s in view["stages"]]
    click.echo(table(rows, ("STAGE", "STATE", "WHY", "LAST RESULT")))
    fresh = sum(stage["state"] == "up_to_date" for stage in view["stages"])
    click.echo(f"\n{fresh} of {several(len(rows), 'stage')} up to date.")


@pipeline.command("diff")
@click.argument("stage")
@in_project
@as_json
def diff(stage: str, slug: str, json_: bool) -> None:
    """What has changed since the last result of a stage, with the cells and files that differ."""
    view = connect().get(at("projects", slug, "pipeline", "stages", stage, "changes"))
    if json_:
        print_json(view)
        return
    click.echo(f"{stage}: {view['why']}")
    for change in view["changes"]:
        click.echo(f"  • {change['text']}")
    for cell in view["cells"]:
        where = "removed" if cell["number"] is None else f"cell {cell['number'] + 1} of the notebook"
        click.echo(f"\n{where}:")
        _print_diff(cell["diff"])
    for file in view["files"]:
        _print_file(file, file["part"])
        for inner in file["files"]:
            _print_file(inner, "file")
        if file["left_out"]:
            click.echo(f"  and {several(file['left_out'], 'file')} more")
    if view["files_left_out"]:
        click.echo(f"\nAnd {several(view['files_left_out'], 'file')} more.")


def _print_diff(text: str) -> None:
    for line in text.split("\n"):
        click.secho(f"  {line}", fg={"+": "green", "-": "red"}.get(line[:1]))


def _print_file(file: dict[str, Any], what: str) -> None:
    """A file that is not what it was."""
    sides = [
        f"{_digest(digest)} ({'size unknown' if bytes_ is None else size(bytes_)})"
        for digest, bytes_ in ((file["old_digest"], file["old_size"]), (file["new_digest"], file["new_size"]))
        if digest is not None
    ]
    word = "was removed" if file["change"] == "removed" and what in ("file", "read") else CHANGES[file["change"]]
    click.echo(f"\n{PARTS[what]} {file['path']} {word}: {' → '.join(sides)}")
    if file["note"]:
        click.echo(f"  {file['note']}")
    if file["diff"] is not None:
        _print_diff(file["diff"])
    if file["cut"]:
        click.echo("  …")


def _digest(text: str) -> str:
    return text.rpartition(":")[2][:10]


def run_options(command: Any) -> Any:
    """Which stages are run, and how."""
    options = [
        click.option("--only", multiple=True, metavar="STAGE", help="These stages and no others."),
        click.option("--from", "from_", multiple=True, metavar="STAGE", help="These, and all that depend on them."),
        click.option("--to", multiple=True, metavar="STAGE", help="These, and all that they need."),
        click.option("--force", "-f", is_flag=True, help="Run also what is up to date."),
        click.option("--keep-going", "-k", is_flag=True, help="Run all that does not depend on what fails."),
        click.option("--parallel", "-j", type=click.IntRange(1, 1000), help="The most stages at a time."),
        click.option("--timeout", metavar="DURATION", help="The longest that the run may take, such as 2h."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen(**given: Any) -> dict[str, Any]:
    """The options as the service takes them."""
    given["from"] = given.pop("from_")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value}


@pipeline.command("run")
@in_project
@click.option("--param", "-P", "params", multiple=True, metavar="STAGE.NAME=VALUE", help="VALUE is JSON, or a text.")
@run_options
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would run, and why.")
@click.option("--no-wait", is_flag=True, help="Return when it has started.")
@as_json
def run(
    slug: str,
    params: tuple[str, ...],
    dry_run: bool,
    no_wait: bool,
    json_: bool,
    **options: Any,
) -> None:
    """Run what is not up to date, on a snapshot of the project as it is now."""
    body = {"params": parse_parameters(params), "options": chosen(**options)}
    if dry_run:
        _print_status(connect().post(at("projects", slug, "pipeline", "plan"), body), json_)
        return
    api = connect()
    follow(api, api.get("/service")["last_event"], api.post(at("projects", slug, "runs"), body), no_wait, json_)


def follow(api: Api, before: int, view: dict[str, Any], no_wait: bool, json_: bool) -> None:
    """Follow a run to its end and print it; the exit status tells whether it succeeded."""
    for warning in view["warnings"] if not json_ else ():
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    if not no_wait:
        progress = Progress(1, quiet=json_)
        try:
            progress.step(f"run {view['id']}")
            view = follow_run(api, view, before, progress.update)
            progress.done(view["status"])
        except KeyboardInterrupt:
            progress.close()
            click.echo(f"\nThe run goes on: himalia run show {view['id']} -p {view['project']}", err=True)
            raise SystemExit(130) from None
        finally:
            progress.close()
    print_run(view, json_)
    if view["status"] in ENDED - {"succeeded"}:
        raise SystemExit(1)


@pipeline.command("sweep")
@in_project
@click.option(
    "--grid", "-g", multiple=True, metavar="STAGE.NAME=[…]", help="A JSON list of values, such as train.depth=[4,8]."
)
@run_options
@as_json
def sweep(slug: str, grid: tuple[str, ...], json_: bool, **options: Any) -> None:
    """Run the pipeline once for each combination of values; points share what they have in common."""
    values = parse_parameters(grid)
    for stage, names in values.items():
        for name, value in names.items():
            if not isinstance(value, list) or not value:
                raise Failure(
                    f"{stage}.{name}: {json.dumps(value)} is no list.", f"For example: -g {stage}.{name}=[4,8]", 2
                )
    view = connect().post(at("projects", slug, "sweeps"), {"grid": values, "options": chosen(**options)})
    if json_:
        print_json(view)
        return
    click.echo(f"sweep {view['id']}: {several(len(view['runs']), 'run')}")
    rows = [
        (made["id"], made["status"], json.dumps(point))
        for made, point in zip(view["runs"], view["points"], strict=True)
    ]
    click.echo(table(rows, ("RUN", "STATUS", "VALUES")))
    click.echo(f"\nSide by side when they have ended: himalia run compare -p {slug} RUN RUN …")
