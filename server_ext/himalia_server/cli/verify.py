"""`himalia verify NOTEBOOK`: whether a notebook shows what a clean run of it shows."""

from __future__ import annotations

import shutil
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from .api import Api, at, connect
from .options import as_json, project_here
from .output import Failure, Progress, print_json, several

WORDS = {
    "identical": "identical. A clean run shows the same",
    "within_tolerance": "within tolerance. A clean run shows the same, but for small differences of numbers",
    "differs": "differs. A clean run shows something else",
    "failed": "failed. A clean run stops at an error that the notebook does not show",
    "not_comparable": "not comparable. What its cells show can only be compared by looking at it",
}
GOOD = ("identical", "within_tolerance", "not_comparable")
LINES = 12
"""Of each side that are shown."""
MOST_CHARACTERS = 10_000
NAMES = {"no_saved_output": "without a saved output", "not_run": "not run"}


@click.command("verify")
@click.argument("notebook", type=click.Path())
@click.option("--project", "-p", "slug", help="The project's name. Default: that of the notebook's folder.")
@click.option("--rtol", type=click.FloatRange(0, 1), help="How far numbers may be apart, relatively. Default: 1e-6.")
@click.option("--no-second-run", is_flag=True, help="Do not run again to tell whether two clean runs agree.")
@as_json
def verify(notebook: str, slug: str | None, rtol: float | None, no_second_run: bool, json_: bool) -> None:
    """Execute NOTEBOOK in a clean kernel, on a snapshot, and compare each cell with what it shows.

    Ends with 0 when a clean run shows the same, 1 when it does not, 2 when it could not be run.
    """
    chosen = slug or _project_of(Path(notebook))
    api = connect()
    path = _within(api, chosen, notebook)
    vouching = api.get(at("projects", chosen, "verifications"), notebook=path, limit=1)["by_stage"]
    if vouching is not None and not json_:
        click.echo(
            f"What {path} shows is what the stage {vouching['stage']} has shown in the run {vouching['run']}: a clean "
            "run too. It is run again all the same.",
            err=True,
        )
    before = api.get("/service")["last_event"]
    body: dict[str, Any] = {"notebook": path, "second_run": not no_second_run}
    if rtol is not None:
        body["rtol"] = rtol
    view = api.post(at("projects", chosen, "verifications"), body)
    progress = Progress(1, quiet=json_)
    try:
        progress.step(f"verify {path}")
        view = _follow(api, view, before, progress)
        if view["status"] == "ended":
            progress.done(view["verdict"].replace("_", " "))
    finally:
        progress.close()
    if json_:
        print_json(view)
    else:
        _print(view)
    raise SystemExit(2 if view["status"] != "ended" else 0 if view["verdict"] in GOOD else 1)


def _project_of(notebook: Path) -> str:
    """The project whose folder the notebook lies in, else that of this folder."""
    place = notebook.absolute()
    folder = next((one for one in place.parents if (one / "himalia.toml").is_file()), None)
    if folder is None:
        return project_here(None)
    found = connect().post(at("project-locations"), {"path": str(folder)})
    if found["project"] is None or found["state"] not in ("here", "moved"):
        raise Failure(
            f"{folder} is no project of this site.",
            f"himalia project create --path {folder}, or --project NAME.",
            code=2,
        )
    return str(found["project"]["slug"])


def _within(api: Api, slug: str, notebook: str) -> str:
    """The notebook's path in the project: as given when it is one from the project's folder, else from this one."""
    folder = Path(api.get(at("projects", slug))["path"])
    here = Path(notebook).absolute()
    place = here if here.exists() else folder / notebook
    try:
        inside = place.resolve().relative_to(folder.resolve())
    except ValueError as error:
        raise Failure(
            f"{notebook} is outside of the project {slug} ({folder}).",
            "Copy it into the project, or name its own project with --project.",
            code=2,
        ) from error
    if not place.exists():
        raise Failure(f"There is no file {notebook}, neither here nor in {folder}.", code=2)
    if place.suffix != ".ipynb" or not place.is_file():
        raise Failure(f"{notebook} is not a notebook.", "Name a file that ends in .ipynb.", code=2)
    return inside.as_posix()


def _follow(api: Api, view: dict[str, Any], after: int, progress: Progress) -> dict[str, Any]:
    """Tell each step until it has ended; survives a restart of the service."""
    path = at("projects", view["project"], "verifications", view["id"])
    current: dict[str, Any] = api.get(path)
    if current["status"] != "running":
        return current
    for event in api.events(after):
        data = event["data"]
        if event["topic"] == "reconnected":
            progress.update("the service was restarted; the verification goes on")
        elif event["subject"] == view["id"] and event["topic"] == "verification.progress":
            progress.update(_step(data))
        if event["topic"] == "reconnected" or (
            event["subject"] == view["id"] and event["topic"] == "verification.ended"
        ):
            current = api.get(path)
            if current["status"] != "running":
                return current
    return current


def _step(data: dict[str, Any]) -> str:
    if data.get("waiting"):
        return str(data["waiting"])
    passes = {"second": "second run: ", "inputs": "again, with more inputs: "}
    label = f" ({data['label']})" if data.get("label") else ""
    where = f"cell {data['cell']} of {data['cells']}{label}" if data["cells"] else "starting its kernel"
    return passes.get(data["pass"], "") + where


def _print(view: dict[str, Any]) -> None:
    if view["status"] != "ended":
        click.echo(f"{view['notebook']} could not be verified: {view['reason'] or view['status']}", err=True)
        return
    click.echo(f"{view['notebook']}: {WORDS[view['verdict']]}.")
    if view["reason"]:
        click.echo(view["reason"])
    counts = ", ".join(f"{count} {NAMES.get(name, name.replace('_', ' '))}" for name, count in view["counts"].items())
    click.echo(f"{several(sum(view['counts'].values()), 'code cell')}: {counts}.")
    for cell in view["compared"]:
        if cell["status"] == "not_comparable":
            click.echo(f"Cell {cell['number']} was not compared: {'; '.join(cell['notes'])}.")
    if view["rules"]:
        click.echo(f"Taken as meaningless where it differed: {', '.join(view['rules'])}.")
    first = view["first"]
    if first is None:
        return
    click.echo()
    cell = next((one for one in view["compared"] if one["number"] == first["number"]), None)
    click.echo(f"The first cell that differs is code cell {first['number']}:")
    for line in (cell["source"] if cell else first["label"]).splitlines()[:LINES]:
        click.echo(f"    {line}")
    _sides(first, cell)
    for cause in view["causes"][:3]:
        click.echo(f"\n{cause['certainty'].capitalize()} cause: {cause['evidence']}")
        click.echo(f"  → {cause['advice']}")
    if view["nondeterministic"] is False:
        click.echo("\nTwo clean runs agree with one another.")


def _sides(first: dict[str, Any], cell: dict[str, Any] | None) -> None:
    """What was saved and what is shown now, side by side."""
    if first["status"] == "not_run":
        click.echo("It was not reached.")
        return
    for difference in first["differences"][:1]:
        click.echo(f"  {difference['part']}: {difference['detail']}")
    left, right = (_lines(first, cell, side) for side in ("saved", "now"))
    if not left and not right:
        return
    width = (min(shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 120, 200) - 9) // 2
    start = max(0, _parting(left, right) - LINES // 2)
    click.echo(f"    {'saved'.ljust(width)} | now")
    for a, b in list(zip_longest(left, right, fillvalue=""))[start : start + LINES]:
        mark = " " if a == b else "*"
        click.echo(f"  {mark} {_fit(a, width)} | {_fit(b, width).rstrip()}")
    if max(len(left), len(right)) > start + LINES:
        click.echo(f"    … {max(len(left), len(right)) - start - LINES} more lines")


def _lines(first: dict[str, Any], cell: dict[str, Any] | None, side: str) -> list[str]:
    """The text of one side: of the whole output where it was kept, else of the line that differs."""
    texts = [_text(output) for output in cell[side]] if cell else []
    if not any(texts):
        texts = [difference[side] for difference in first["differences"] if difference[side]]
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in texts if text)[
        :MOST_CHARACTERS
    ].splitlines()


def _text(output: dict[str, Any]) -> str:
    if output["output_type"] == "error":
        return f"{output['name']}: {output['text']}"
    if output["text"] is not None:
        return str(output["text"])
    pictures = [kind for kind in output["data"] if kind.startswith("image/")]
    return str(output["data"].get("text/plain", "")) + "".join(f" [{kind}]" for kind in pictures)


def _parting(left: list[str], right: list[str]) -> int:
    pairs = zip_longest(left, right)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), 0)


def _fit(text: str, width: int) -> str:
    """*text* in just *width* columns, without what would move a terminal's cursor."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain.ljust(width) if len(plain) <= width else f"{plain[: width - 1]}…"
