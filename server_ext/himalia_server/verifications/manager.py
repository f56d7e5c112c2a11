"""Verifications: started, followed to their verdict, kept with the digests that they are about."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..content import ContentStore, UnfitContent
from ..pipelines import TERMINAL, Options, Pipelines, RunRequest
from ..projects import Projects, code_files, output_of, read_manifest
from ..service.auth import Principal
from ..service.context import Context
from ..service.once import Once
from ..service.problems import Conflict, NotFound
from ..store import Project, Run, Verification, new_id
from ..tracking import MlflowUnavailable
from .causes import read_cells
from .constructed import Constructed
from .following import Follower
from .inputs import inputs_of
from .models import StageVerdict, VerificationCreate, VerificationDetail, VerificationView
from .reading import require_notebook
from .views import detail_of, stage_of, view_of


class Verifications:
    """The logic of the room. Each verification that goes on has one thread."""

    def __init__(self, context: Context, projects: Projects, pipelines: Pipelines, content: ContentStore) -> None:
        self.context, self.projects, self.pipelines, self.content = context, projects, pipelines, content
        self._constructed = Constructed(context, content)
        self.scratches = pipelines.tracking.scratch
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start(
        self, principal: Principal, project: Project, wanted: VerificationCreate, once: Once | None = None
    ) -> VerificationView:
        """Execute a notebook on a snapshot of the project as it is now, and compare.

        Raises:
            Invalid: it is no notebook that can be verified; nothing was started. Conflict: it is being verified.
        """
        folder = Path(project.path)
        saved_at = (folder / wanted.notebook).stat().st_mtime if (folder / wanted.notebook).is_file() else 0.0
        book = require_notebook(folder, wanted.notebook)
        manifest = read_manifest(folder)
        code = set(code_files(folder, manifest))
        named = inputs_of(folder, wanted.notebook, read_cells(book))
        # what it writes itself as a stage is not laid before it, unless it turns out that it reads it first
        own = {
            path for stage in manifest.stages.values() if stage.notebook == wanted.notebook for path in stage.outputs
        }
        inputs = [path for path in named if path not in code and output_of(path, own) is None]
        row_id = new_id()

        def on_created(session: Session, run: Run) -> None:
            self._require_none(session, project, wanted.notebook)
            digest = self.content.tree(run.snapshot)[wanted.notebook].digest
            row = Verification(
                id=row_id,
                project_id=project.id,
                notebook=wanted.notebook,
                notebook_digest=digest,
                snapshot=run.snapshot,
                options={
                    "rtol": wanted.rtol,
                    "second_run": wanted.second_run,
                    "inputs": inputs,
                    "saved_at": saved_at,
                },
                runs=[run.id],
                status="running",
                created_by=principal.user,
            )
            session.add(row)
            if once is not None:
                once.record(session, row_id)
            data = {"notebook": wanted.notebook, "run": run.id}
            self.context.events.add(session, "verification.started", row_id, data, project)

        request = RunRequest(
            options=Options(force=True),  # what is known from the cache would be compared with itself
            kind="verification",
            notebook=wanted.notebook,
            inputs=tuple(inputs),
            trigger="verification",
            on_created=on_created,
        )
        self.pipelines.start(principal, project, request)
        self._follow(row_id)
        return self.view(project, row_id)

    @staticmethod
    def _require_none(session: Session, project: Project, notebook: str) -> None:
        query = select(Verification.id).where(
            Verification.project_id == project.id,
            Verification.notebook == notebook,
            Verification.status == "running",
        )
        if (running := session.scalar(query)) is not None:
            raise Conflict(f"{notebook} is being verified already.", hint=f"Wait for it, or cancel it: {running}.")

    def resume(self) -> None:
        """Go on with what a service before this one left unfinished."""
        self.repair()

    def repair(self) -> None:
        """Follow every verification that nobody follows."""
        with self.context.database.read() as session:
            ids = list(session.scalars(select(Verification.id).where(Verification.status == "running")))
        for row_id in ids:
            self._follow(row_id)
        self._tidy()

    def _tidy(self) -> None:
        """Remove what notebooks have left in MLflow, once their runs have ended."""
        left = self.scratches.left()
        if not left:
            return
        with self.context.database.read() as session:
            query = select(Run.id).where(Run.id.in_(left), Run.status.not_in(TERMINAL))
            going_on = set(session.scalars(query))
        for run_id in left:
            if run_id not in going_on and not self._stopping.is_set():
                try:
                    self.scratches.close(run_id)
                except MlflowUnavailable:
                    return  # the next time

    def stop(self) -> None:
        """The service goes; the next one goes on with what is unfinished."""
        self._stopping.set()
        self.context.events.announce()

    def _follow(self, row_id: str) -> None:
        with self._lock:
            self._threads = {key: other for key, other in self._threads.items() if other.is_alive()}
            if row_id in self._threads or self._stopping.is_set():
                return
            follower = Follower(self.context, self.pipelines, self.content, self._stopping, row_id)
            thread = threading.Thread(target=follower.run, name=f"verification-{row_id}", daemon=True)
            self._threads[row_id] = thread
            thread.start()

    def cancel(self, principal: Principal, project: Project, row_id: str) -> VerificationView:
        """Stop a verification: its run is cancelled, and there is no verdict.

        Raises:
            NotFound: there is none of that id. Conflict: it has ended already.
        """
        with self.context.database.read() as session:
            row = self._row(session, project, row_id)
        if row.status != "running":
            raise Conflict(f"The verification {row_id} has ended already.", hint="There is nothing to stop.")
        self.pipelines.cancel(principal, project, str(row.runs[-1]))
        return self.view(project, row_id)

    # --- finding

    def view(self, project: Project, row_id: str) -> VerificationView:
        """One verification, without its cells.

        Raises:
            NotFound: the project has none of that id.
        """
        with self.context.database.read() as session:
            row = self._row(session, project, row_id)
            stage = stage_of(session, row)
        return view_of(row, project, stage, current=self._digest(project, row.notebook) == row.notebook_digest)

    def detail(self, project: Project, row_id: str) -> VerificationDetail:
        """One verification with its cells.

        Raises:
            NotFound: the project has none of that id.
        """
        view = self.view(project, row_id)
        with self.context.database.read() as session:
            return detail_of(self._row(session, project, row_id), view, self.content)

    def page(
        self, project: Project, notebook: str | None, cursor: str | None, limit: int
    ) -> tuple[list[VerificationView], str | None]:
        """Verifications of a project, or of one of its notebooks, newest first, and where to go on."""
        query = select(Verification).where(Verification.project_id == project.id)
        if notebook is not None:
            query = query.where(Verification.notebook == notebook)
        if cursor:
            query = query.where(Verification.id < cursor)
        with self.context.database.read() as session:
            rows = list(session.scalars(query.order_by(Verification.id.desc()).limit(limit + 1)))
            stages = {row.id: stage_of(session, row) for row in rows if row.status == "running"}
        digests = {name: self._digest(project, name) for name in {row.notebook for row in rows[:limit]}}
        views = [
            view_of(row, project, stages.get(row.id), current=digests[row.notebook] == row.notebook_digest)
            for row in rows[:limit]
        ]
        return views, rows[limit - 1].id if len(rows) > limit else None

    def by_stage(self, project: Project, notebook: str) -> StageVerdict | None:
        """The newest stage of the project that shows what the notebook shows now; None when there is none."""
        return self._constructed.find(project, notebook, self._digest(project, notebook))

    def _digest(self, project: Project, notebook: str) -> str | None:
        """Of the notebook as it is now; None when it is gone."""
        try:
            return self.content.entry_of(Path(project.path) / notebook).digest
        except (OSError, UnfitContent):
            return None

    @staticmethod
    def _row(session: Any, project: Project, row_id: str) -> Verification:
        row = session.get(Verification, row_id)
        if row is None or row.project_id != project.id:
            raise NotFound(
                f"There is no verification {row_id!r} in {project.slug}.", hint="The list of verifications shows them."
            )
        return row  # type: ignore[no-any-return]
