"""Verifications as they cross the wire."""

from __future__ import annotations

import json
from typing import Any

from ..content import ContentStore, MissingContent
from ..pipelines import NOTEBOOK_STAGE
from ..store import Project, StageRun, Verification
from .models import CauseView, CellView, FirstDifference, ToleranceView, VerificationDetail, VerificationView


def view_of(row: Verification, project: Project, stage: StageRun | None, *, current: bool) -> VerificationView:
    """One verification; *stage*: of the run that executes it just now."""
    found = row.summary
    first = found.get("first")
    return VerificationView(
        id=row.id,
        project=project.slug,
        notebook=row.notebook,
        status=row.status,
        verdict=row.verdict,
        current=current,
        counts=found.get("counts", {}),
        first=FirstDifference.model_validate(first) if first else None,
        causes=[CauseView.model_validate(cause) for cause in found.get("causes", [])],
        nondeterministic=found.get("nondeterministic"),
        rules=found.get("rules", []),
        reason=row.reason,
        notebook_digest=row.notebook_digest,
        snapshot=row.snapshot,
        environment=row.environment,
        inputs=list(row.options.get("inputs", [])),
        runs=[str(run) for run in row.runs],
        cell=stage.cell if stage else 0,
        cells=stage.cells if stage else 0,
        waiting=stage.reason if stage and stage.status in ("pending", "waiting") else None,
        created_by=row.created_by,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


def detail_of(row: Verification, view: VerificationView, content: ContentStore) -> VerificationDetail:
    """With the cells that were kept."""
    kept: dict[str, Any] = {"cells": [], "tolerance": None}
    reason = view.reason
    if row.comparison is not None:
        try:
            kept = json.loads(content.path(row.comparison).read_bytes())
        except MissingContent:
            reason = "The compared cells are gone: the site's content store was removed or damaged. Verify again."
    tolerance = kept["tolerance"]
    return VerificationDetail(
        **(view.model_dump() | {"reason": reason}),
        tolerance=ToleranceView.model_validate(tolerance) if tolerance else None,
        compared=[CellView.model_validate(cell) for cell in kept["cells"]],
    )


def stage_of(session: Any, row: Verification) -> StageRun | None:
    """The stage of the run that executes it now, or did last."""
    if not row.runs:
        return None
    return session.get(StageRun, (str(row.runs[-1]), NOTEBOOK_STAGE))  # type: ignore[no-any-return]
