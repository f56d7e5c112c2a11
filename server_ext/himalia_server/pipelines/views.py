"""Runs as they cross the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from ..store import Attempt, Project, Run, StageRun
from .models import TERMINAL, AttemptView, RunView, StageRunView
from .requests import Options

StageRow = StageRun | Row[Any]
"""A row of stages, or what `SHOWN` selects of it."""
SHOWN = tuple(column for column in StageRun.__table__.columns if column.name not in ("position", "parts"))
"""What of a stage is told."""


def run_view(run: Run, project: Project, stages: Sequence[StageRow]) -> RunView:
    """A run with its stages, which are given in their order."""
    return RunView(
        id=run.id,
        project=project.slug,
        kind=run.kind,
        trigger=run.trigger,
        options=options_of(run),
        code=run.code,
        origin=run.origin_id,
        sweep=run.sweep_id,
        schedule=run.schedule_id,
        slot=run.slot,
        status=run.status,
        reason=_reason(run),
        snapshot=run.snapshot,
        components=run.manifest.get("components", {}),
        environment=run.environment,
        warnings=run.options.get("warnings", []),
        created_by=run.created_by,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        stages=[_stage_view(row) for row in stages],
    )


def options_of(run: Run) -> Options:
    """What of a run's options a person has given."""
    known = {item.alias or name for name, item in Options.model_fields.items()}
    return Options.model_validate({key: value for key, value in run.options.items() if key in known})


def _reason(run: Run) -> str | None:
    if run.cancel_requested_by and run.status not in TERMINAL:
        return f"being cancelled, as {run.cancel_requested_by} asked"
    return run.reason


def _stage_view(row: StageRow) -> StageRunView:
    return StageRunView(
        name=row.stage,
        status=row.status,
        reason=row.reason,
        params=row.params,
        outputs=row.outputs,
        key=row.key,
        cached_from=row.cached_from,
        attempts=row.attempts,
        failed_cell=row.outcome.get("cell_index") if row.status in TERMINAL else None,
        error_name=row.outcome.get("error_name"),
        cell_seconds=row.outcome.get("cell_seconds") or [],
        warnings=row.outcome.get("warnings") or [],
        cell=row.cell,
        cells=row.cells,
        label=row.label,
        tracking_run=row.tracking_run,
        notebook=row.notebook_digest is not None,
        error=row.outcome.get("error"),
        hint=row.outcome.get("hint"),
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def attempt_view(row: Attempt) -> AttemptView:
    """One attempt."""
    return AttemptView(
        number=row.number,
        status=row.status,
        error=row.outcome.get("error"),
        hint=row.outcome.get("hint"),
        notebook=row.notebook_digest is not None,
        log=row.log_digest is not None,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )
