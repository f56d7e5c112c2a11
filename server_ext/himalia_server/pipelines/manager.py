"""Runs: checked before anything starts, snapshotted, driven stage by stage, resumed after a crash of the service."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from himalia_kernels.parameters import NotebookUnreadableError, check_parameters

from ..content import ContentStore, FileEntry, MissingContent
from ..projects import Manifest, Projects, code_files, order, read_manifest
from ..service.auth import Principal
from ..service.context import Context
from ..service.logs import request_id
from ..service.once import Once
from ..service.problems import Conflict, Forbidden, Invalid, NotFound, nearest
from ..store import Project, Run, StageRun
from ..tracking import Tracking
from .driver import Driver
from .models import TERMINAL, RunView, StageProgress, StageRunView

log = logging.getLogger(__name__)


class Pipelines:
    """The logic of the room. Each run that goes on has one thread."""

    def __init__(self, context: Context, projects: Projects, tracking: Tracking, content: ContentStore) -> None:
        self.context, self.projects, self.tracking, self.content = context, projects, tracking, content
        self.has_cluster: Callable[[Project, str], bool] = lambda _project, _name: False
        self.components: Callable[[Principal, Project, Manifest], dict[str, str]] = lambda *_: {}
        """Digests of what a run uses of other projects, by name and version."""
        self.component_files: Callable[[dict[str, str]], dict[str, FileEntry]] = lambda _digests: {}
        """These, as they lie in a snapshot."""
        self._threads: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def start_run(
        self, principal: Principal, project: Project, params: dict[str, dict[str, Any]], once: Once | None = None
    ) -> RunView:
        """Check everything that can be known, take the snapshot, and start.

        Raises:
            Invalid: a fault in manifest, parameters or inputs; nothing was started.
            OSError: the snapshot cannot be written (the disk is full).
        """
        folder = Path(project.path)
        manifest = read_manifest(folder)
        self._check(project, folder, manifest, params)
        self._require_environment(project)
        components = self.components(principal, project, manifest)
        snapshot = self._snapshot(folder, manifest, components)
        with self.context.change(principal) as change:
            change.require_live(project)
            run = Run(
                project_id=project.id,
                status="pending",
                params=params,
                snapshot=snapshot,
                manifest=manifest.model_dump() | {"components": components},
                created_by=principal.user,
                request_id=request_id.get(),
            )
            change.session.add(run)
            change.session.flush()
            change.made(once, run.id)
            for position, name in enumerate(order(manifest)):
                given = manifest.stages[name].params | params.get(name, {})
                row = StageRun(run_id=run.id, stage=name, position=position, status="pending", params=given)
                change.session.add(row)
            change.audit("run.start", project, run.id, snapshot=snapshot, components=components)
            change.event("run.created", run.id, {"status": "pending", "snapshot": snapshot}, project)
        self._drive(run.id)
        return self.view(project, run.id)

    def _require_environment(self, project: Project) -> None:
        """Have the project's environment built when it is not; refuse when it cannot be.

        Raises:
            Conflict: its build failed.
        """
        refused = self.projects.kernels.environment_for_run(project).refused
        if refused is not None:
            raise Conflict(
                refused,
                hint=f"Mend it, then: himalia environment build -p {project.slug}. Its log: himalia environment log -p "
                f"{project.slug}",
            )

    def resume(self) -> None:
        """Go on with every run that a service before this one left unfinished."""
        self._sweep()
        self.repair()

    def repair(self) -> None:
        """Drive what nobody drives: runs of a service before this one, or whose thread a fault of ours has ended."""
        for run_id in self._unfinished():
            if not self._stopping.is_set():
                self._drive(run_id)

    def _unfinished(self) -> list[str]:
        with self.context.database.read() as session:
            return list(session.scalars(select(Run.id).where(Run.status.not_in(TERMINAL)).order_by(Run.id)))

    def _sweep(self) -> None:
        """Remove what a service that was killed right after the end of a run had no time to remove."""
        children, runtime = self.context.children, self.context.site.runtime
        # first what is there, then what goes on: a run that starts meanwhile is not touched
        folders = list((self.context.site.home / "runs").iterdir())
        temporary = list(runtime.glob("s????????-*"))
        stages = [name for name in children.known() if name.startswith("stage-")]
        unfinished = self._unfinished()
        for name in stages:
            if name.split("-")[1] not in unfinished:
                children.stop(name)
                children.forget(name)
        tails = {run_id[-8:] for run_id in unfinished}
        for folder in folders:
            if folder.name not in unfinished:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in temporary:
            if folder.name[1:9] not in tails:
                shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        """The service goes: let the drivers end; stages go on without them unless they are stopped too."""
        self._stopping.set()

    def cancel(self, principal: Principal, project: Project, run_id: str) -> RunView:
        """Stop a run: the running stage is interrupted, then killed; its notebook is kept.

        Raises:
            Conflict: it has ended already.
        """
        with self.context.change(principal) as change:
            run = self._run(change.session, project, run_id)
            if run.status in TERMINAL:
                raise Conflict(f"The run {run_id} has ended already: {run.status}.", hint="There is nothing to stop.")
            run.cancel_requested_by = principal.user
            change.audit("run.cancel", project, run_id)
            change.event("run.cancelling", run_id, {"by": principal.user}, project)
            running = [row.stage for row in self._stages(change.session, run_id) if row.status == "running"]
        for stage in running:
            self.context.children.stop(Driver.child_name(run_id, stage))
        return self.view(project, run_id)

    def progress(self, principal: Principal, project: Project, run_id: str, stage: str, body: StageProgress) -> None:
        """A running stage tells where it is.

        Raises:
            Forbidden: the token is not this stage's.
        """
        if (principal.run_id, principal.stage) != (run_id, stage):
            raise Forbidden("Only the stage itself reports its progress.", hint="Read it instead: GET the run.")
        with self.context.change(principal) as change:
            row = change.session.get(StageRun, (run_id, stage))
            if row is None or row.status in TERMINAL:
                raise NotFound(
                    f"There is no running stage {stage!r} in the run {run_id}.", hint="It has ended: report no more."
                )
            row.cell, row.cells, row.label = body.cell, body.cells, body.label
            data = {"stage": stage, "cell": body.cell, "cells": body.cells, "label": body.label}
            change.event("stage.progress", run_id, data, project)

    def view(self, project: Project, run_id: str) -> RunView:
        """One run.

        Raises:
            NotFound: the project has none of that id.
        """
        with self.context.database.read() as session:
            run = self._run(session, project, run_id)
            return _view(run, project, self._stages(session, run_id))

    def page(self, project: Project, cursor: str | None, limit: int) -> tuple[list[RunView], str | None]:
        """Runs of a project, newest first, and where to go on."""
        query = select(Run).where(Run.project_id == project.id).order_by(Run.id.desc()).limit(limit + 1)
        if cursor:
            query = query.where(Run.id < cursor)
        with self.context.database.read() as session:
            runs = list(session.scalars(query))
            stages: dict[str, list[StageRun]] = {run.id: [] for run in runs[:limit]}
            rows = select(StageRun).where(StageRun.run_id.in_(stages)).order_by(StageRun.position)
            for row in session.scalars(rows):
                stages[row.run_id].append(row)
        views = [_view(run, project, stages[run.id]) for run in runs[:limit]]
        return views, runs[limit - 1].id if len(runs) > limit else None

    def notebook(self, project: Project, run_id: str, stage: str) -> Path:
        """The executed notebook of a stage, as kept.

        Raises:
            NotFound: there is none (yet).
        """
        with self.context.database.read() as session:
            self._run(session, project, run_id)
            row = session.get(StageRun, (run_id, stage))
            kept = row.notebook_digest if row else None
        if kept is None:
            raise NotFound(
                f"The stage {stage!r} of run {run_id} has no executed notebook (yet).",
                hint="It is kept when the stage ends; the run shows how far it is.",
            )
        try:
            return self.content.path(kept)
        except MissingContent as error:
            raise NotFound(
                f"The executed notebook of the stage {stage!r} was kept, but it is gone: the site's content store was "
                "removed or damaged.",
                hint="Run the pipeline again, or restore a backup (himalia restore).",
            ) from error

    def log_of(self, project: Project, run_id: str, stage: str) -> Path:
        """The log of a stage.

        Raises:
            NotFound: it was never started.
        """
        with self.context.database.read() as session:
            self._run(session, project, run_id)
            if session.get(StageRun, (run_id, stage)) is None:
                raise NotFound(
                    f"The run {run_id} has no stage {stage!r}.",
                    hint=nearest(stage, [row.stage for row in self._stages(session, run_id)]),
                )
        path = self.context.site.log(Driver.child_name(run_id, stage))
        if not path.exists():
            raise NotFound(
                f"The stage {stage!r} of run {run_id} was never started.",
                hint="The run's page tells the reason.",
            )
        return path

    def stop_all(self, project: Project) -> None:
        """Cancel what runs in a project, and wait for its end (it is being archived)."""
        with self.context.change() as change:
            runs = select(Run).where(Run.project_id == project.id, Run.status.not_in(TERMINAL))
            ids = []
            for run in change.session.scalars(runs):
                run.cancel_requested_by = run.cancel_requested_by or "himalia"
                ids.append(run.id)
            active = [(run_id, row.stage) for run_id in ids for row in self._stages(change.session, run_id)]
        for run_id, stage in active:
            self.context.children.stop(Driver.child_name(run_id, stage))
        for run_id in ids:
            thread = self._threads.get(run_id)
            if thread is not None:
                thread.join(60)

    def end_all(self, project: Project) -> None:
        """Cancel what runs in a project and forget its files (it is being deleted)."""
        with self.context.change() as change:
            runs = list(change.session.scalars(select(Run).where(Run.project_id == project.id)))
            for run in runs:
                if run.status not in TERMINAL:
                    run.cancel_requested_by = "himalia"
            active = [(run.id, row.stage) for run in runs for row in self._stages(change.session, run.id)]
        for run_id, stage in active:
            self.context.children.stop(Driver.child_name(run_id, stage))
        for run in runs:
            thread = self._threads.get(run.id)
            if thread is not None:
                thread.join(60)
            shutil.rmtree(self.context.site.home / "runs" / run.id, ignore_errors=True)
        for run_id, stage in active:
            self.context.site.log(Driver.child_name(run_id, stage)).unlink(missing_ok=True)

    def _drive(self, run_id: str) -> None:
        """Have a thread drive the run, unless one does."""
        with self._lock:
            self._threads = {key: other for key, other in self._threads.items() if other.is_alive()}
            if run_id in self._threads:
                return
            driver = Driver(self.context, self.projects, self.tracking, self.content, run_id, self._stopping)
            thread = threading.Thread(target=driver.run, name=f"run-{run_id}", daemon=True)
            self._threads[run_id] = thread
            thread.start()

    def _check(self, project: Project, folder: Path, manifest: Manifest, params: dict[str, dict[str, Any]]) -> None:
        if not manifest.stages:
            raise Invalid(
                "himalia.toml declares no stage.",
                hint='Add one, for example: [stages.prepare] with notebook = "01-prepare.ipynb".',
            )
        for name in params:
            if name not in manifest.stages:
                raise Invalid(
                    f"There is no stage {name!r}.",
                    hint=nearest(name, manifest.stages),
                    field=f"params.{name}",
                )
        made = {output for stage in manifest.stages.values() for output in stage.outputs}
        for name, stage in manifest.stages.items():
            notebook = folder / stage.notebook
            if not notebook.is_file():
                raise Invalid(
                    f"stages.{name}.notebook: {stage.notebook} does not exist.",
                    hint=f"Put the notebook there, or change its path in himalia.toml ({folder}).",
                    field=f"stages.{name}.notebook",
                )
            if not notebook.resolve().is_relative_to(folder.resolve()):
                raise Invalid(
                    f"stages.{name}.notebook: {stage.notebook} leads out of the project.",
                    field=f"stages.{name}.notebook",
                )
            for path in stage.inputs:
                if path not in made and not (folder / path).is_file():
                    raise Invalid(
                        f"stages.{name}.inputs: {path} does not exist, and no stage makes it.",
                        hint=f"Put the file there, or name it in the outputs of the stage that makes it ({folder}).",
                        field=f"stages.{name}.inputs",
                    )
                if not (folder / path).resolve().is_relative_to(folder.resolve()):
                    raise Invalid(
                        f"stages.{name}.inputs: {path} leads out of the project.",
                        field=f"stages.{name}.inputs",
                    )
            try:
                problems = check_parameters(notebook, stage.params | params.get(name, {}))
            except NotebookUnreadableError as error:
                raise Invalid(f"Stage {name!r}: {error}", field=f"stages.{name}.notebook") from error
            if problems:
                where = f"params.{name}" if name in params else f"stages.{name}.params"
                text = " ".join(str(problem) for problem in problems)
                raise Invalid(f"Stage {name!r} ({stage.notebook}): {text}", field=where)
            if stage.cluster and not self.has_cluster(project, stage.cluster):
                raise Invalid(
                    f"Stage {name!r} wants the cluster {stage.cluster!r}, which does not run.",
                    hint=f"himalia cluster start {stage.cluster} --project {project.slug}",
                    field=f"stages.{name}.cluster",
                )

    def _snapshot(self, folder: Path, manifest: Manifest, components: dict[str, str]) -> str:
        made = {output for stage in manifest.stages.values() for output in stage.outputs}
        inputs = {path for stage in manifest.stages.values() for path in stage.inputs if path not in made}
        notebooks = {stage.notebook for stage in manifest.stages.values()}
        names = set(code_files(folder, manifest)) | inputs | notebooks
        files = {name: self.content.put_file(folder / name) for name in sorted(names)}
        # their files too: what a stage is run with is one tree, whatever becomes of the components
        return self.content.put_tree(files | self.component_files(components))

    @staticmethod
    def _run(session: Any, project: Project, run_id: str) -> Run:
        run = session.get(Run, run_id)
        if run is None or run.project_id != project.id:
            raise NotFound(
                f"There is no run {run_id!r} in {project.slug}.",
                hint=f"himalia run list --project {project.slug} shows them.",
            )
        return run  # type: ignore[no-any-return]

    @staticmethod
    def _stages(session: Any, run_id: str) -> list[StageRun]:
        return list(session.scalars(select(StageRun).where(StageRun.run_id == run_id).order_by(StageRun.position)))


def _reason(run: Run) -> str | None:
    if run.cancel_requested_by and run.status not in TERMINAL:
        return f"being cancelled, as {run.cancel_requested_by} asked"
    return run.reason


def _view(run: Run, project: Project, stages: list[StageRun]) -> RunView:
    return RunView(
        id=run.id,
        project=project.slug,
        status=run.status,
        reason=_reason(run),
        snapshot=run.snapshot,
        components=run.manifest.get("components", {}),
        environment=run.environment,
        created_by=run.created_by,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        stages=[
            StageRunView(
                name=row.stage,
                status=row.status,
                reason=row.reason,
                params=row.params,
                outputs=row.outputs,
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
            for row in stages
        ],
    )
