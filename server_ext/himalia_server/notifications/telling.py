"""What people are told about the end of a scheduled run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from ..store import Project, Run, Schedule, StageRun

ERROR = 300
"""Characters of an error's first line."""
BAD = ("failed", "timed_out", "kernel_died", "lost")
"""How a stage fails of itself, not because another did."""


def body_of_run(
    project: Project, schedule: Schedule, run: Run, stages: Sequence[StageRun], base: str | None
) -> dict[str, Any]:
    """About a run that has ended. *base*: where JupyterLab is, when the site's settings say so."""
    bad = next((row for row in sorted(stages, key=lambda row: row.position) if row.status in BAD), None)
    outcome = bad.outcome if bad is not None else {}
    cell, index = outcome.get("cell"), outcome.get("cell_index")
    error = None
    if bad is not None or run.status not in ("succeeded", "skipped"):
        error = first_line(str(outcome.get("error") or (bad.reason if bad else None) or run.reason or run.status))
    path = f"lab?himalia-run={quote(project.slug)}/{run.id}"
    if bad is not None:
        path += f"/{quote(bad.stage)}" + (f"/{index}" if index is not None else "")
    return _body(
        project,
        schedule,
        base,
        run=run.id,
        slot=run.slot,
        status=run.status,
        stage=bad.stage if bad is not None else None,
        stage_status=bad.status if bad is not None else None,
        cell=cell,
        error=error,
        path=path,
    )


def body_of_refusal(project: Project, schedule: Schedule, slot: str, why: str, base: str | None) -> dict[str, Any]:
    """About a slot for which no run could be started."""
    path = f"lab?himalia-schedule={quote(project.slug)}/{quote(schedule.name)}"
    return _body(
        project,
        schedule,
        base,
        run=None,
        slot=slot,
        status="not_started",
        stage=None,
        stage_status=None,
        cell=None,
        error=first_line(why),
        path=path,
    )


def _body(project: Project, schedule: Schedule, base: str | None, *, path: str, **facts: Any) -> dict[str, Any]:
    good = facts["status"] in ("succeeded", "skipped")
    runs = schedule.notebook if schedule.kind == "notebook" else "pipeline"
    where = ""
    if facts["stage"] is not None:
        where = f" in the stage {facts['stage']}" + (f", cell {facts['cell']}" if facts["cell"] else "")
    what = "works again" if good else "could not start" if facts["run"] is None else f"failed{where}"
    title = f"{schedule.name} of {project.slug} {what}"
    link = f"{base.rstrip('/')}/{path}" if base else path
    lines = [
        f"{title}.",
        f"Runs: {runs}",
        f"Slot: {facts['slot']}" if facts["slot"] else None,
        f"Run: {facts['run']}" if facts["run"] else None,
        f"Error: {facts['error']}" if facts["error"] and not good else None,
        f"Open: {link}"
        if base
        else f"Show: himalia run show {facts['run']} --project {project.slug}"
        if facts["run"]
        else f"Show: himalia schedule show {schedule.name} --project {project.slug}",
    ]
    return {
        "title": title,
        "text": "\n".join(line for line in lines if line),
        "project": project.slug,
        "schedule": schedule.name,
        "schedule_id": schedule.id,
        "runs": runs,
        "link": link,
        **facts,
    }


def first_line(text: str) -> str:
    """The first line of an error, cut at a length that a phone shows."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= ERROR else f"{line[: ERROR - 1]}…"
