"""What is kept of runs and results, and for how long; the content that nobody refers to any more is removed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..content import Collected, CollectRefused, ContentStore
from ..projects import ManifestFault, Projects
from ..service.auth import Principal
from ..service.context import Context
from ..service.problems import Conflict
from ..store import (
    Attempt,
    Component,
    Project,
    Revision,
    Run,
    Schedule,
    StageResult,
    StageRun,
    Verification,
    now,
)
from .driving import child_name
from .models import TERMINAL, CollectView

log = logging.getLogger(__name__)
YOUNG = 2 * 3600.0
"""Seconds: what was put into the content store since then may be about to be referred to."""
DAY = 86400.0
CHUNK = 200


@dataclass
class Expired:
    """What is past its time, by id. `runs`: also those of verifications."""

    runs: list[str]
    results: list[str]
    verifications: list[str]


class Retention:
    """Removes old runs and results as the projects' `[retention]` says, and content without a reference."""

    def __init__(self, context: Context, projects: Projects, content: ContentStore) -> None:
        self.context, self.projects, self.content = context, projects, content
        self._next = now() + 600.0

    def collect(self, principal: Principal | None, *, dry_run: bool) -> CollectView:
        """Remove what is past its time, of all projects; with *dry_run* say only what that would be.

        Raises:
            Conflict: a backup is being made, or another collection goes on.
        """
        expired = self._expired()
        if not dry_run:
            self._remove(expired)
        try:
            found = self.content.collect(self._live(expired), older_than_s=YOUNG, dry_run=dry_run)
        except CollectRefused as refused:
            raise Conflict(str(refused)) from refused
        if not dry_run and (principal is not None or expired.runs or found.objects):
            self._tell(principal, expired, found)
        return CollectView(
            dry_run=dry_run,
            runs=len(expired.runs),
            results=len(expired.results),
            objects=found.objects,
            bytes=found.bytes,
            kept_objects=found.kept_objects,
            kept_bytes=found.kept_bytes,
            missing=len(found.missing),
        )

    def tidy(self) -> None:
        """Once a day, by itself."""
        if now() < self._next:
            return
        self._next = now() + DAY
        self.collect(None, dry_run=False)

    def _tell(self, principal: Principal | None, expired: Expired, found: Collected) -> None:
        detail = {
            "runs": len(expired.runs),
            "results": len(expired.results),
            "objects": found.objects,
            "bytes": found.bytes,
        }
        with self.context.change(principal) as change:
            change.audit("storage.collect", None, None, **detail)
            change.event("storage.collected", None, detail)

    def _expired(self) -> Expired:
        found = Expired([], [], [])
        with self.context.database.read() as session:
            for project in session.scalars(select(Project)):
                try:
                    table = self.projects.kernels.manifest(project).retention
                except ManifestFault:
                    continue  # what it wants kept is not known
                if table.runs is None and table.days is None:
                    continue
                young = now() - table.days * DAY if table.days is not None else None
                found.runs += _old_runs(session, project, table.runs, young)
                found.results += _old_results(session, project, table.runs, young)
                for verification in _old_verifications(session, project, table.runs, young):
                    found.verifications.append(verification.id)
                    found.runs += verification.runs
        return found

    def _remove(self, expired: Expired) -> None:
        for start in range(0, len(expired.runs), CHUNK):
            chunk = expired.runs[start : start + CHUNK]
            with self.context.database.write() as session:
                query = select(StageRun.run_id, StageRun.stage).where(StageRun.run_id.in_(chunk))
                logs = [self.context.site.log(child_name(run, stage)) for run, stage in session.execute(query)]
                for table in (Attempt, StageRun):
                    session.execute(delete(table).where(table.run_id.in_(chunk)))
                session.execute(delete(Run).where(Run.id.in_(chunk)))
            for path in logs:
                for each in (path, *path.parent.glob(f"{path.name}.*")):
                    Path(each).unlink(missing_ok=True)
        with self.context.database.write() as session:
            for start in range(0, len(expired.results), CHUNK):
                session.execute(delete(StageResult).where(StageResult.id.in_(expired.results[start : start + CHUNK])))
            for start in range(0, len(expired.verifications), CHUNK):
                chunk = expired.verifications[start : start + CHUNK]
                session.execute(delete(Verification).where(Verification.id.in_(chunk)))

    def _live(self, expired: Expired) -> Iterator[str]:
        """Every digest that something in the store refers to; asked for when the collection has begun."""
        gone_runs, gone_results, gone = set(expired.runs), set(expired.results), set(expired.verifications)
        with self.context.database.read() as session:
            yield from session.scalars(select(Component.digest))
            yield from (digest for digest in session.scalars(select(Revision.sources)) if digest)
            yield from (digest for run, digest in session.execute(select(Run.id, Run.snapshot)) if run not in gone_runs)
            for row in session.scalars(select(StageRun)):
                if row.run_id not in gone_runs:
                    yield from (digest for digest in (row.parts, row.notebook_digest, *row.outputs.values()) if digest)
            for attempt in session.scalars(select(Attempt)):
                if attempt.run_id not in gone_runs:
                    yield from (digest for digest in (attempt.notebook_digest, attempt.log_digest) if digest)
            for result in session.scalars(select(StageResult)):
                if result.id not in gone_results:
                    yield from (result.parts, *result.outputs.values())
                    yield from [result.notebook_digest] if result.notebook_digest else []
            for pinned in session.scalars(select(Schedule.pinned)):
                yield from [pinned["snapshot"]] if pinned.get("snapshot") else []
            for verification in session.scalars(select(Verification)):
                if verification.id in gone:
                    continue
                kept = (verification.notebook_digest, verification.snapshot, verification.comparison)
                yield from (digest for digest in kept if digest)


def _old_runs(session: Session, project: Project, most: int | None, young: float | None) -> list[str]:
    """Runs that have ended and that the project does not want kept; those of verifications go with them.

    *young*: the time (UTC seconds) since when something must have ended to be kept for its age.
    """
    query = select(Run.id, Run.ended_at).where(Run.project_id == project.id, Run.status.in_(TERMINAL))
    rows = session.execute(query.where(Run.kind != "verification").order_by(Run.id.desc())).all()
    return [
        run_id
        for number, (run_id, ended_at) in enumerate(rows)
        if (most is not None and number >= most) or (young is not None and (ended_at or 0.0) < young)
    ]


def _old_results(session: Session, project: Project, most: int | None, young: float | None) -> list[str]:
    """Results that no run which is kept has used; the last one of each stage stays."""
    if most is not None:
        kept = select(Run.created_at).where(Run.project_id == project.id, Run.kind != "verification")
        oldest = session.scalar(kept.order_by(Run.id.desc()).offset(most - 1).limit(1))
        young = max(oldest or 0.0, young or 0.0)
    last = select(StageResult.stage, func.max(StageResult.used_at)).where(StageResult.project_id == project.id)
    newest = set(session.execute(last.group_by(StageResult.stage)).tuples())
    query = select(StageResult.id, StageResult.stage, StageResult.used_at).where(
        StageResult.project_id == project.id, StageResult.used_at < (young or 0.0)
    )
    return [result_id for result_id, stage, used_at in session.execute(query) if (stage, used_at) not in newest]


def _old_verifications(session: Session, project: Project, most: int | None, young: float | None) -> list[Verification]:
    """Verifications that have ended and that the project does not want kept; the last one of each notebook stays."""
    query = select(Verification).where(Verification.project_id == project.id, Verification.ended_at.is_not(None))
    rows = list(session.scalars(query.order_by(Verification.id.desc())))
    last = {row.notebook: row.id for row in reversed(rows)}
    return [
        row
        for number, row in enumerate(rows)
        if last[row.notebook] != row.id
        and ((most is not None and number >= most) or (young is not None and (row.ended_at or 0.0) < young))
    ]
