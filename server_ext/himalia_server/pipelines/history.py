"""Runs that were made: lists, single ones with their attempts and files, several side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..content import ContentStore, MissingContent
from ..service.context import Context
from ..service.problems import NotFound, Unavailable, nearest
from ..store import Attempt, Project, Run, StageRun
from ..tracking import Tracking
from .driving import child_name
from .keys import Parts
from .models import AttemptView, CompareView, Difference, RunView, StageKey
from .views import SHOWN, StageRow, attempt_view, run_view


class History:
    """Reads runs of projects."""

    def __init__(self, context: Context, content: ContentStore, tracking: Tracking) -> None:
        self.context, self.content, self.tracking = context, content, tracking

    def view(self, project: Project, run_id: str) -> RunView:
        """One run.

        Raises:
            NotFound: the project has none of that id.
        """
        with self.context.database.read() as session:
            run = find_run(session, project, run_id)
            return self._views(session, project, [run])[0]

    def page(
        self, project: Project, cursor: str | None, limit: int, kind: str | None = None, schedule: str | None = None
    ) -> tuple[list[RunView], str | None]:
        """Runs of a project, newest first, and where to go on."""
        query = select(Run).where(Run.project_id == project.id).order_by(Run.id.desc()).limit(limit + 1)
        if cursor:
            query = query.where(Run.id < cursor)
        if kind:
            query = query.where(Run.kind == kind)
        if schedule:
            query = query.where(Run.schedule_id == schedule)
        with self.context.database.read() as session:
            runs = list(session.scalars(query))
            views = self._views(session, project, runs[:limit])
        return views, runs[limit - 1].id if len(runs) > limit else None

    def of_sweep(self, project: Project, sweep_id: str) -> list[RunView]:
        """The runs of a sweep, in the order of its points."""
        with self.context.database.read() as session:
            query = select(Run).where(Run.project_id == project.id, Run.sweep_id == sweep_id).order_by(Run.id)
            return self._views(session, project, list(session.scalars(query)))

    @staticmethod
    def _views(session: Session, project: Project, runs: Sequence[Run]) -> list[RunView]:
        stages: dict[str, list[StageRow]] = {run.id: [] for run in runs}
        rows = select(*SHOWN).where(StageRun.run_id.in_(stages)).order_by(StageRun.position)
        for row in session.execute(rows):  # no objects: there may be thousands
            stages[row.run_id].append(row)
        return [run_view(run, project, stages[run.id]) for run in runs]

    def notebook(self, project: Project, run_id: str, stage: str, attempt: int | None = None) -> Path:
        """The executed notebook of a stage, or of one of its attempts: as kept, or as far as it is.

        Raises:
            NotFound: there is none (yet).
        """
        with self.context.database.read() as session:
            find_run(session, project, run_id)
            row = session.get(StageRun, (run_id, stage))
            if attempt is not None:
                tried = session.get(Attempt, (run_id, stage, attempt))
                kept = tried.notebook_digest if tried else None
            else:
                kept = row.notebook_digest if row else None
        partial = self.context.site.home / "runs" / run_id / stage / "executed.ipynb"
        if kept is None and attempt is None and row is not None and partial.exists():
            return partial
        if kept is None:
            raise NotFound(
                f"The stage {stage!r} of run {run_id} has no executed notebook (yet).",
                hint="It is there from its first cell on; the run shows how far it is.",
            )
        return self._kept(kept, f"The executed notebook of the stage {stage!r}")

    def _kept(self, digest: str, what: str) -> Path:
        try:
            return self.content.path(digest)
        except MissingContent as error:
            raise NotFound(
                f"{what} was kept, but it is gone: the site's content store was removed or damaged.",
                hint="Run the pipeline again, or restore a backup (himalia restore).",
            ) from error

    def log_of(self, project: Project, run_id: str, stage: str, attempt: int | None = None) -> Path:
        """The log of a stage, or of one of its attempts.

        Raises:
            NotFound: it was never started.
        """
        with self.context.database.read() as session:
            find_run(session, project, run_id)
            _find_stage(session, run_id, stage)
            tried = session.get(Attempt, (run_id, stage, attempt)) if attempt is not None else None
        if tried is not None and tried.log_digest is not None:
            return self._kept(tried.log_digest, f"The log of attempt {attempt} of {stage!r}")
        path = self.context.site.log(child_name(run_id, stage))
        if attempt is not None or not path.exists():
            raise NotFound(
                f"The stage {stage!r} of run {run_id} was never started"
                + (f" a time {attempt} that was tried again." if attempt is not None else "."),
                hint="The run's page tells the reason.",
            )
        return path

    def attempts(self, project: Project, run_id: str, stage: str) -> list[AttemptView]:
        """The tries of a stage that were tried again, the first one first.

        Raises:
            NotFound: the run has no such stage.
        """
        with self.context.database.read() as session:
            find_run(session, project, run_id)
            _find_stage(session, run_id, stage)
            query = select(Attempt).where(Attempt.run_id == run_id, Attempt.stage == stage).order_by(Attempt.number)
            return [attempt_view(row) for row in session.scalars(query)]

    def key(self, project: Project, run_id: str, stage: str) -> StageKey:
        """What a stage was made of.

        Raises:
            NotFound: it has not come so far, or that is no longer kept.
        """
        with self.context.database.read() as session:
            find_run(session, project, run_id)
            row = session.get(StageRun, (run_id, stage))
        if row is None or row.parts is None:
            raise NotFound(
                f"The stage {stage!r} of run {run_id} has no key (yet).",
                hint="It is known when all that the stage waits for has ended.",
            )
        parts = Parts.load(self._kept(row.parts, f"The key of the stage {stage!r}").read_bytes())
        return StageKey(
            key=parts.key,
            code=list(parts.cells),
            parameters=parts.parameters,
            inputs=parts.inputs,
            modules=parts.modules,
            environment=parts.environment,
            kernel=parts.kernel,
            outputs=list(parts.outputs),
        )

    def compare(self, project: Project, run_ids: Sequence[str]) -> CompareView:
        """Runs side by side.

        Raises:
            NotFound: the project has none of such an id.
        """
        views = [self.view(project, run_id) for run_id in run_ids]
        metrics = [self._metrics(project, view) for view in views]
        found: dict[tuple[str | None, str, str], list[Any]] = {}

        def note(number: int, stage: str | None, part: str, name: str, value: Any) -> None:
            found.setdefault((stage, part, name), [None] * len(views))[number] = value

        for number, view in enumerate(views):
            note(number, None, "status", "status", view.status)
            note(number, None, "seconds", "duration", _seconds(view.started_at, view.ended_at))
            note(number, None, "commit", "commit", view.code.get("commit"))
            for stage in view.stages:
                note(number, stage.name, "status", "status", stage.status)
                note(number, stage.name, "seconds", "duration", _seconds(stage.started_at, stage.ended_at))
                note(number, stage.name, "code", "key", stage.key)
                for name, value in stage.params.items():
                    note(number, stage.name, "parameter", name, value)
                for name, value in stage.outputs.items():
                    note(number, stage.name, "output", name, value)
                for name, metric in metrics[number].get(stage.name, {}).items():
                    note(number, stage.name, "metric", name, metric)
        lists: tuple[list[Difference], list[Difference]] = ([], [])
        for (stage_name, part, name), values in found.items():
            same = all(_equal(value, values[0]) for value in values)
            lists[same].append(Difference(stage=stage_name, part=part, name=name, values=values))
        return CompareView(runs=views, differences=lists[False], same=lists[True])

    def _metrics(self, project: Project, view: RunView) -> dict[str, dict[str, float]]:
        """Stage → metric → value, of its MLflow run; nothing while MLflow does not answer.

        A skipped stage has those of the run that made what it was skipped for.
        """
        made = dict(self._made_by(view))
        found = {}
        for stage in view.stages:
            tracked = stage.tracking_run or made.get(stage.name)
            if tracked is not None:
                try:
                    found[stage.name] = self.tracking.metrics_of(project, tracked)
                except Unavailable:
                    return {}
        return found

    def _made_by(self, view: RunView) -> Iterator[tuple[str, str]]:
        """Skipped stages and the MLflow runs of the stages that they were cached from; none of a run that is gone."""
        with self.context.database.read() as session:
            for stage in view.stages:
                row = session.get(StageRun, (stage.cached_from, stage.name)) if stage.cached_from else None
                if row is not None and row.tracking_run is not None:
                    yield stage.name, row.tracking_run


def _equal(one: Any, two: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


def _seconds(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round(end - begin, 3)


def find_run(session: Session, project: Project, run_id: str) -> Run:
    """The project's run of that id.

    Raises:
        NotFound: there is none.
    """
    run = session.get(Run, run_id)
    if run is None or run.project_id != project.id:
        raise NotFound(
            f"There is no run {run_id!r} in {project.slug}.",
            hint=f"himalia run list --project {project.slug} shows them.",
        )
    return run


def stages_of(session: Session, run_id: str) -> list[StageRun]:
    """The stages of a run in their order."""
    return list(session.scalars(select(StageRun).where(StageRun.run_id == run_id).order_by(StageRun.position)))


def _find_stage(session: Session, run_id: str, stage: str) -> StageRun:
    row = session.get(StageRun, (run_id, stage))
    if row is None:
        raise NotFound(
            f"The run {run_id} has no stage {stage!r}.",
            hint=nearest(stage, [row.stage for row in stages_of(session, run_id)]),
        )
    return row
