"""Runs: checked before anything starts, snapshotted, driven stage by stage, resumed after a crash of the service."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from ..content import ContentStore, FileEntry, MissingContent
from ..projects import Manifest, Projects, outputs_of, read_manifest, without_data
from ..service.auth import Principal
from ..service.context import Context
from ..service.once import Once
from ..service.problems import Conflict, Forbidden, Invalid, NotFound, nearest
from ..store import Project, Run, StageRun
from ..tracking import Tracking
from .driving import Drivers, Fresh, Rooms, child_name
from .graph import Graph
from .history import History, find_run, stages_of
from .leases import Leases
from .models import TERMINAL, RunView, StageProgress
from .outputs import OutputFault, publish_outputs
from .planning import Planner
from .remote import RemoteStages
from .requests import Pinned, RunRequest, pinned_manifest
from .resuming import request_to_resume
from .retention import Retention
from .starting import (
    NOT_RUNNING,
    Prepared,
    Subject,
    add_run,
    check_params,
    check_stages,
    code_names,
    git_state,
    input_names,
    notebook_manifest,
    own_folder,
    take_files,
    warnings_of,
)
from .status import StatusReader
from .status_models import PipelineView
from .sweeps import Sweeps

log = logging.getLogger(__name__)


class Pipelines:
    """The logic of the room. Each run that goes on has one thread."""

    def __init__(self, context: Context, projects: Projects, tracking: Tracking, content: ContentStore) -> None:
        self.context, self.projects, self.tracking, self.content = context, projects, tracking, content
        self.cluster_fault: Callable[[Project, str], str | None] = lambda _project, _name: NOT_RUNNING
        """Why a cluster of the project cannot run stages, if so."""
        self.components: Callable[[Principal, Project, Manifest], dict[str, str]] = lambda *_: {}
        """Digests of what a run uses of other projects, by name and version."""
        self.would_use: Callable[[Principal | None, Project, Manifest], dict[str, str]] = lambda *_: {}
        """As `components`, without giving any to the project; of None what it has anyway."""
        self.component_files: Callable[[dict[str, str]], dict[str, FileEntry]] = lambda _digests: {}
        """These, as they lie in a snapshot."""
        self.pinned_by: Callable[[str], Pinned | None] = lambda _schedule: None
        """The code that a schedule, by its id, is pinned to now."""
        self._stopping = threading.Event()
        self.planner = Planner(content)
        self.leases = Leases(context.database)
        self.remote = RemoteStages(context, content)
        self.history = History(context, content, tracking)
        self.retention = Retention(context, projects, content)
        self.sweeps = Sweeps(context, self)
        self.status = StatusReader(context.database, projects, content, self.planner, self._used_files)
        self.rooms = Rooms(
            context,
            projects,
            tracking,
            content,
            self.planner,
            self.leases,
            self._stopping,
            context.settings.stages or max(2, os.cpu_count() or 2),
            dict(context.settings.pools),
        )
        self.drivers = Drivers(self.rooms)

    def start(self, principal: Principal, project: Project, request: RunRequest, once: Once | None = None) -> RunView:
        """Check everything that can be known, take the snapshot, and start.

        Raises:
            Invalid: a fault in manifest, options, parameters or inputs; nothing was started.
            OSError: the snapshot cannot be written (the disk is full).
        """
        prepared = self.prepare(principal, project, request)
        with self.context.change(principal) as change:
            run = add_run(change, principal, project, prepared, once)
        self.drivers.begin(run.id, _fresh(prepared))
        return self.history.view(project, run.id)

    def prepare(self, principal: Principal, project: Project, request: RunRequest) -> Prepared:
        """Check a request, and take the snapshot. Raises as `start` does."""
        folder = Path(project.path)
        manifest = pinned_manifest(request.pinned) if request.pinned else read_manifest(folder)
        subject = self._checked(project, manifest, request)
        self._require_environments(project, subject)
        if request.pinned:
            components, code = request.pinned.components, request.pinned.code
            files = self._pinned_files(manifest, subject, request.pinned)
        else:
            components = self.components(principal, project, manifest)
            files, code = self._files(folder, manifest, subject, components)
        files |= take_files(self.content, folder, input_names(subject))
        snapshot = self.content.put_tree(files)
        options = request.options.model_dump(by_alias=True, exclude_defaults=True)
        options |= {"env": request.env} if request.env else {}
        if (place := own_folder(manifest, request)) is not None:
            options["cwd"] = place
        warnings = [*request.warnings, *([] if request.pinned else warnings_of(folder, subject))]
        options |= {"warnings": warnings} if warnings else {}
        if request.apart or not (request.kind == "pipeline" and request.trigger == "person"):
            options["publish"] = False  # what nobody has asked for now does not change the folder that people work in
        return Prepared(request, subject, components, code, files, snapshot, options)

    def plan(self, principal: Principal, project: Project, request: RunRequest) -> PipelineView:
        """What `start` would do, stage by stage. Puts code into the content store; changes nothing else.

        Raises:
            Invalid: see `start`.
        """
        folder = Path(project.path)
        manifest = read_manifest(folder)
        subject = self._checked(project, manifest, request)
        code, _git = self._files(folder, manifest, subject, self.would_use(principal, project, manifest))
        return self.status.plan(project, subject, code, force=request.options.force)

    def _checked(self, project: Project, manifest: Manifest, request: RunRequest) -> Subject:
        """What is run, when nothing is known by which it would fail."""
        subject = self.subject(manifest, request)
        folder = Path(project.path)
        check_stages(folder, subject, request, lambda name: self.cluster_fault(project, name), project.slug)
        return subject

    def pin(self, principal: Principal, project: Project, request: RunRequest) -> Pinned:
        """The code of a project as it is now, for runs to come. Checked as if it was run now.

        Raises:
            Invalid: see `start`.
        """
        folder = Path(project.path)
        manifest = read_manifest(folder)
        subject = self.subject(manifest, request)
        check_stages(folder, subject, request, lambda _name: None, project.slug)
        components = self.components(principal, project, manifest)
        files, code = self._files(folder, manifest, subject, components)
        return Pinned(self.content.put_tree(files), manifest.model_dump(), components, code)

    def check_pinned(self, request: RunRequest) -> None:
        """Whether stages and parameters of a request fit the code that it is pinned to, whatever the folder holds now.

        Raises:
            Invalid: they do not.
        """
        assert request.pinned is not None
        subject = self.subject(pinned_manifest(request.pinned), request)
        files = self.content.tree(request.pinned.snapshot)
        for name in subject.names:
            stage = subject.manifest.stages[name]
            if stage.notebook in files:  # else `start` says so
                notebook = self.content.path(files[stage.notebook].digest)
                check_params(notebook, name, stage, subject.params[name], request)

    def subject(self, manifest: Manifest, request: RunRequest) -> Subject:
        """What is run, of the stages of *manifest*.

        Raises:
            Invalid: the request fits no stage.
        """
        if request.kind != "pipeline":
            if request.notebook is None:
                raise Invalid("A notebook is to be named.", field="notebook")
            manifest = notebook_manifest(manifest, request.notebook, request.inputs)
        if not manifest.stages:
            raise Invalid(
                "himalia.toml declares no stage.",
                hint='Add one, for example: [stages.prepare] with notebook = "01-prepare.ipynb".',
            )
        for name in request.params:
            if name not in manifest.stages:
                raise Invalid(
                    f"There is no stage {name!r}.", hint=nearest(name, manifest.stages), field=f"params.{name}"
                )
        graph = Graph.of(manifest)
        names = graph.selected(request.options)
        left_out = sorted(set(request.params) - set(names))
        if left_out:
            raise Invalid(
                f"The stage {left_out[0]!r} is not part of this run.",
                hint="Give parameters to stages that run only.",
                field=f"params.{left_out[0]}",
            )
        params = {name: manifest.stages[name].params | request.params.get(name, {}) for name in names}
        for name in names:
            swept = [key for key, value in manifest.stages[name].params.items() if isinstance(value, list)]
            if manifest.stages[name].sweep and not set(swept) <= set(request.params.get(name, {})):
                raise Invalid(
                    f"The stage {name!r} is a sweep: a run of it needs one value for each of {', '.join(swept)}.",
                    hint="Start the sweep instead: Sweep… in JupyterLab's pipeline, or himalia pipeline sweep.",
                    field=f"params.{name}",
                )
        return Subject(manifest, graph, names, params)

    def _files(
        self, folder: Path, manifest: Manifest, subject: Subject, components: dict[str, str]
    ) -> tuple[dict[str, FileEntry], dict[str, Any]]:
        """The code as it is now, and that of the components: a stage's files are one tree, whatever becomes of them.

        And what git says of it, asked afterwards: a file that is edited meanwhile is not told to be as committed.
        """
        names = code_names(folder, manifest, subject)
        files = take_files(self.content, folder, names) | self.component_files(components)
        return files, git_state(folder, manifest, names)

    def _used_files(self, project: Project, manifest: Manifest) -> dict[str, FileEntry]:
        """Files of the components that a project uses; none when one is not there, which a run would say."""
        try:
            return self.component_files(self.would_use(None, project, manifest))
        except (Invalid, MissingContent):
            return {}

    def _pinned_files(self, manifest: Manifest, subject: Subject, pinned: Pinned) -> dict[str, FileEntry]:
        """The code that was pinned to with that *manifest*; without data that once was taken for code.

        Raises:
            Invalid: a notebook that is to run is not in it.
        """
        held = self.content.tree(pinned.snapshot)
        files = {name: held[name] for name in without_data(held, subject.manifest.stages, outputs_of(manifest))}
        for name in subject.names:
            notebook = subject.manifest.stages[name].notebook
            if notebook not in files:
                raise Invalid(
                    f"The code that this is pinned to holds no {notebook}.",
                    hint="Update the schedule to the current code.",
                )
        return files

    def rerun(self, principal: Principal, project: Project, run_id: str, once: Once | None = None) -> RunView:
        """Resume a run that did not succeed: a new one with the same parameters, of the project as it is now.

        What had succeeded is taken over where its key is what it was; the rest runs, and says why. A run of a schedule
        is resumed on the code that the schedule is pinned to now.

        Raises:
            Conflict: it goes on still, or has succeeded.
        """
        with self.context.database.read() as session:
            run = find_run(session, project, run_id)
            params = {row.stage: row.params for row in stages_of(session, run_id)}
        pinned = self.pinned_by(run.schedule_id) if run.schedule_id else None
        request = request_to_resume(run, params, Path(project.path), pinned)
        return self.start(principal, project, request, once)

    def restore(self, principal: Principal, project: Project, run_id: str) -> list[str]:
        """Put the outputs of a run into the project's folder; returns the paths that were written.

        Raises:
            Conflict: a place is taken. NotFound: one is no longer kept.
        """
        outputs = {
            path: digest
            for stage in self.history.view(project, run_id).stages
            for path, digest in stage.outputs.items()
        }
        try:
            written = publish_outputs(self.content, Path(project.path), outputs)
        except OutputFault as fault:
            raise Conflict(str(fault)) from fault
        except MissingContent as error:
            raise NotFound(
                f"An output of the run is no longer kept: {error}", hint="Run the pipeline again."
            ) from error
        with self.context.change(principal) as change:
            change.audit("run.restore", project, run_id, paths=written)
            change.event("run.restored", run_id, {"paths": written[:100]}, project)
        return written

    def _require_environments(self, project: Project, subject: Subject) -> None:
        """Have the environments built that are not; refuse when one cannot be.

        Raises:
            Conflict: its build failed.
        """
        for name in {subject.manifest.stages[stage].environment: None for stage in subject.names}:
            refused = self.projects.kernels.environment_for_run(project, name).refused
            if refused is not None:
                which = f"{f'-e {name} ' if name else ''}-p {project.slug}"
                raise Conflict(
                    refused,
                    hint=f"Mend it, then: himalia environment build {which}. Its log: himalia environment log {which}",
                )

    def resume(self) -> None:
        """Go on with every run that a service before this one left unfinished."""
        self._sweep()
        self.repair()

    def repair(self) -> None:
        """Drive what nobody drives."""
        self.drivers.drive_open()

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
            run = find_run(change.session, project, run_id)
            if run.status in TERMINAL:
                raise Conflict(f"The run {run_id} has ended already: {run.status}.", hint="There is nothing to stop.")
            run.cancel_requested_by = principal.user
            change.audit("run.cancel", project, run_id)
            change.event("run.cancelling", run_id, {"by": principal.user}, project)
            running = [row.stage for row in stages_of(change.session, run_id) if row.status == "running"]
        for stage in running:
            self.context.children.stop(child_name(run_id, stage))
        self.drivers.drive(run_id, run.sweep_id)  # one of a sweep may not have begun
        return self.history.view(project, run_id)

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
            data = {"stage": stage, **body.model_dump()}
            change.event("stage.progress", run_id, data, project)

    def stop_all(self, project: Project) -> None:
        """Cancel what runs in a project, and wait for its end (it is being archived)."""
        with self.context.change() as change:
            runs = select(Run).where(Run.project_id == project.id, Run.status.not_in(TERMINAL))
            ids = dict[str, str | None]()
            for run in change.session.scalars(runs):
                run.cancel_requested_by = run.cancel_requested_by or "himalia"
                ids[run.id] = run.sweep_id
            active = [(run_id, row.stage) for run_id in ids for row in stages_of(change.session, run_id)]
        for run_id, stage in active:
            self.context.children.stop(child_name(run_id, stage))
        self.drivers.finish(ids, 60)

    def end_all(self, project: Project) -> None:
        """Cancel what runs in a project and forget its files (it is being deleted)."""
        with self.context.change() as change:
            runs = list(change.session.scalars(select(Run).where(Run.project_id == project.id)))
            for run in runs:
                if run.status not in TERMINAL:
                    run.cancel_requested_by = "himalia"
            active = [(run.id, row.stage) for run in runs for row in stages_of(change.session, run.id)]
        for run_id, stage in active:
            self.context.children.stop(child_name(run_id, stage))
        self.drivers.finish({run.id: run.sweep_id for run in runs if run.status not in TERMINAL}, 60)
        self.drivers.join([run.id for run in runs], 60)
        for run in runs:
            shutil.rmtree(self.context.site.home / "runs" / run.id, ignore_errors=True)
        for run_id, stage in active:
            self.context.site.log(child_name(run_id, stage)).unlink(missing_ok=True)


def _fresh(prepared: Prepared) -> Fresh:
    subject = prepared.subject
    files = {path: entry.digest for path, entry in prepared.files.items()}
    return Fresh(subject.manifest, subject.graph, subject.params, files)
