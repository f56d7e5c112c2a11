"""One run, stage by stage. The truth is in the store and on disk, so that another service can go on with it."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from ..content import ContentStore
from ..projects import SHARED, EnvironmentGrant, Manifest, Projects, Used, edges, order, seconds
from ..service import tokens
from ..service.children import ChildSpec, Exit
from ..service.context import Context
from ..service.environment import child_environment
from ..service.logs import REQUEST_VARIABLE, request_id
from ..service.problems import Problem, StorageFull
from ..service.replies import as_problem
from ..service.site import private_folder, write_private
from ..store import Project, Run, StageRun, now
from ..team import Role
from ..tracking import Tracking, TrackingUnavailable
from .models import TERMINAL
from .outputs import OutputFault, keep_outputs

log = logging.getLogger(__name__)
AGAIN_SECONDS = 2.0
"""Between attempts while the store takes nothing."""
RETRIED = {"kernel_died", "lost"}
"""Faults of the machine, not of the code: tried again as often as the manifest's `retries` says."""


class EnvironmentRefused(RuntimeError):
    """The environment of a run cannot be built."""


class Driver:
    """Drives one run to its end in the calling thread."""

    def __init__(
        self,
        context: Context,
        projects: Projects,
        tracking: Tracking,
        content: ContentStore,
        run_id: str,
        stopping: threading.Event,
    ) -> None:
        self.context, self.projects, self.tracking, self.content = context, projects, tracking, content
        self.run_id, self.stopping = run_id, stopping
        self.folder = context.site.home / "runs" / run_id
        self.used: Used | None = None

    @staticmethod
    def child_name(run_id: str, stage: str) -> str:
        """The name of a stage's supervised process."""
        return f"stage-{run_id}-{stage}"

    def run(self) -> None:
        """Drive the run; an unexpected fault of ours ends it as failed, with the reason.

        While the store takes nothing (locked, away) it waits: what is in the store says where to go on.
        """
        while not self.stopping.is_set():
            try:
                self._run()
                return
            except DBAPIError as error:
                log.warning("the store does not answer; the run goes on when it does", exc_info=error)
                problem = as_problem(error, self.context.site.home)
                if problem is None or isinstance(problem, StorageFull):
                    self._abandon(_reason(error, problem))
                    return
            except Exception as error:
                if self.stopping.is_set():
                    return
                log.exception("run ended by a fault", extra={"run": self.run_id})
                self._abandon(_reason(error, as_problem(error, self.context.site.home)))
                return
            self.stopping.wait(AGAIN_SECONDS)

    def _run(self) -> None:
        with self.context.change() as change:
            run = change.session.get_one(Run, self.run_id)
            project = change.session.get_one(Project, run.project_id)
            request_id.set(run.request_id)  # of this thread, which is the run's own
            if run.status == "pending":
                run.status, run.started_at = "running", later(run.created_at)
                change.event("run.started", self.run_id, {"status": "running"}, project)
        manifest = Manifest.model_validate({key: value for key, value in run.manifest.items() if key != "components"})
        waits = edges(manifest)
        try:
            self.used = self._environment(project, order(manifest))
        except EnvironmentRefused as refusal:
            self._finish("failed", str(refusal))
            return
        for name in order(manifest):
            if self.stopping.is_set():
                return
            statuses = self._statuses()
            if statuses[name] in TERMINAL:
                continue
            if self._cancelled():
                self._end_stage(project, name, {"status": "cancelled", "error": "The run was cancelled."})
            elif any(statuses[other] != "succeeded" for other in waits[name]):
                failed = sorted(other for other in waits[name] if statuses[other] != "succeeded")
                reason = f"not run, because {', '.join(failed)} did not succeed"
                self._end_stage(project, name, {"status": "upstream_failed", "error": reason})
            else:
                self._stage(project, manifest, name)
                if self.stopping.is_set():
                    return
        self._finish(*self._verdict())

    def _environment(self, project: Project, names: list[str]) -> Used | None:
        """What the run's stages run in, once it is built; the same to the run's end. None: nothing is to run.

        Raises:
            EnvironmentRefused: it cannot be built.
        """
        kept = private_folder(self.folder) / "environment.json"
        if kept.exists():
            found = json.loads(kept.read_text())
            return Used(found["python"], EnvironmentGrant(**found["environment"]))
        first = next((name for name in names if self._statuses()[name] not in TERMINAL), None)
        told = None
        while not self.stopping.is_set() and not self._cancelled():
            used = self.projects.kernels.environment_for_run(project, begun=True)
            if used.refused is not None:
                raise EnvironmentRefused(used.refused)
            if used.waiting is None:
                write_private(kept, json.dumps({"python": used.python, "environment": used.environment.model_dump()}))
                with self.context.change() as change:
                    digest = used.environment.digest
                    change.session.get_one(Run, self.run_id).environment = None if digest == SHARED.digest else digest
                return used
            if first is not None and used.waiting != told:
                told = used.waiting
                self._update(project, first, status="waiting", reason=told)
            self.stopping.wait(0.5)
        return None

    def _verdict(self) -> tuple[str, str | None]:
        statuses = self._statuses()
        if "cancelled" in statuses.values():
            return "cancelled", None
        bad = [name for name, status in statuses.items() if status not in ("succeeded", "upstream_failed")]
        return ("failed", f"{', '.join(bad)}: {statuses[bad[0]]}") if bad else ("succeeded", None)

    def _stage(self, project: Project, manifest: Manifest, name: str) -> None:
        """Run one stage to its end, or take over the one that a service before us started."""
        attempts = 0
        while True:
            outcome = self._attempt(project, manifest, name)
            if self.stopping.is_set():
                return
            attempts += 1
            again = outcome["status"] in RETRIED and attempts <= manifest.stages[name].retries
            if not again or self._cancelled():
                outcome["attempts"] = attempts
                self._end_stage(project, name, outcome, manifest.stages[name].outputs)
                return
            executed = self.folder / name / "executed.ipynb"
            self._close_tracking(project, name, outcome, executed if executed.exists() else None)
            self._clear(name)

    def _attempt(self, project: Project, manifest: Manifest, name: str) -> dict[str, Any]:
        child = self.child_name(self.run_id, name)
        children = self.context.children
        if children.get(child) is None and not self._outcome_file(name).exists():
            if not self._wait_for_tracking(project, name):
                return {"status": "cancelled", "error": "The run was cancelled."}
            self._launch(project, manifest, name)
            if self._cancelled():
                # whoever cancelled a moment ago found no process to stop yet
                children.stop(child)
        end: Exit | None = None
        if children.get(child) is not None:
            while end is None and not self.stopping.is_set():
                end = children.wait(child, 1.0)
            if end is None:
                return {"status": "running"}
        return self._read_outcome(name, end)

    def _wait_for_tracking(self, project: Project, name: str) -> bool:
        """Wait until MLflow answers; false when the run was cancelled meanwhile."""
        told = False
        while not self.tracking.wait(1.0):
            if self._cancelled() or self.stopping.is_set():
                return False
            if not told:
                self._update(project, name, status="waiting", reason="waiting for MLflow to start")
                told = True
        return True

    def _launch(self, project: Project, manifest: Manifest, name: str) -> None:
        stage = manifest.stages[name]
        place = private_folder(self.folder / name)
        work = place / "work"
        shutil.rmtree(work, ignore_errors=True)
        self._materialise(project, manifest, name, work)
        run_id = self.tracking.start_stage_run(project, self.run_id, name)
        token_file = self.context.site.home / "tokens" / f"stage-{self.run_id}-{name}"
        with self.context.change() as change:
            run = change.session.get_one(Run, self.run_id)
            row = change.session.get_one(StageRun, (self.run_id, name))
            tokens.issue(
                change.session,
                purpose="stage",
                user=run.created_by,
                seconds=tokens.STAGE_SECONDS,
                file=token_file,
                project_id=project.id,
                role=Role.CONTRIBUTOR,
                run_id=self.run_id,
                stage=name,
            )
            row.status, row.reason, row.tracking_run = "running", None, run_id
            row.started_at = later(run.started_at)
            params = row.params
            change.event("stage.started", self.run_id, {"stage": name, "status": "running"}, project)
        given = self.projects.kernels.snapshot(project, token_file, work, manifest, self.used)
        env = given.env
        env.pop("HIMALIA_CLUSTER", None)
        env |= {"HIMALIA_RUN": self.run_id, "HIMALIA_STAGE": name, "MLFLOW_RUN_ID": run_id}
        if stage.cluster:
            env["HIMALIA_CLUSTER"] = stage.cluster
        asked = request_id.get()
        if asked is not None:
            env[REQUEST_VARIABLE] = asked
        grant = place / "grant.json"
        write_private(grant, given.model_dump_json())
        base = f"{self.context.base_url}/api/v1/projects/{project.slug}/runs/{self.run_id}/stages/{name}"
        spec = {
            "run_id": self.run_id,
            "stage": name,
            "notebook": stage.notebook,
            "workdir": str(work),
            "output": str(place / "executed.ipynb"),
            "kernel_name": project.kernelspec,
            "parameters": params,
            "timeout_s": seconds(stage.timeout) if stage.timeout else None,
            "grant_file": str(grant),
            "progress_url": f"{base}/progress",
            "token_file": str(token_file),
            "outcome": str(self._outcome_file(name)),
            "outputs": stage.outputs,
            "inputs": stage.inputs,
        }
        spec_file = place / "spec.json"
        write_private(spec_file, json.dumps(spec))
        temporary = private_folder(self._temporary(name))
        self.context.children.start(
            ChildSpec(
                name=self.child_name(self.run_id, name),
                argv=[sys.executable, "-m", "himalia_kernels.stage", "--spec", str(spec_file)],
                env=child_environment(HIMALIA_GRANT_FILE=str(grant), TMPDIR=str(temporary)),
                cwd=str(work),
                grace=15.0,
                umask=0o022,
            )
        )

    def _materialise(self, project: Project, manifest: Manifest, name: str, work: Path) -> None:
        """Lay out what the stage may see: the code, and the inputs that it declares."""
        with self.context.database.read() as session:
            run = session.get_one(Run, self.run_id)
            rows = session.scalars(select(StageRun).where(StageRun.run_id == self.run_id))
            made = {path: digest for row in rows for path, digest in row.outputs.items()}
        declared = {path for stage in manifest.stages.values() for path in stage.inputs}
        for path, entry in self.content.tree(run.snapshot).items():
            if path not in declared or path in manifest.stages[name].inputs:
                self.content.materialise(entry.digest, work / path)
        for path in manifest.stages[name].inputs:
            if path in made:
                self.content.materialise(made[path], work / path, verify=True)
        for path in manifest.stages[name].outputs:
            (work / path).parent.mkdir(parents=True, exist_ok=True)

    def _read_outcome(self, name: str, end: Exit | None) -> dict[str, Any]:
        try:
            outcome = dict(json.loads(self._outcome_file(name).read_text()))
            if outcome["status"] == "cancelled" and not self._cancelled():
                outcome["error"] = "The service was stopped while this stage ran (himalia down)."
            return outcome
        except (OSError, ValueError):
            if self._cancelled():
                return {"status": "cancelled", "error": "The run was cancelled before the stage had begun."}
            how = end.sentence if end else "nothing is left of it"
            return {"status": "lost", "error": f"The stage's process ended without a result: {how}."}

    def _end_stage(
        self, project: Project, name: str, outcome: dict[str, Any], outputs: list[str] | None = None
    ) -> None:
        """Keep notebook and outputs, close the tracking run, tell everybody.

        Everything that can be repeated comes before the commit, so that a crash in between loses nothing.
        """
        place = self.folder / name
        executed = place / "executed.ipynb"
        notebook = self.content.put_file(executed).digest if executed.exists() else None
        kept: dict[str, str] = {}
        if outcome["status"] == "succeeded":
            try:
                kept = keep_outputs(self.content, place / "work", Path(project.path), outputs or [])
            except OutputFault as fault:
                outcome = outcome | {"status": "failed", "error": str(fault)}
        reason = self._close_tracking(project, name, outcome, executed if notebook else None)
        with self.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, name))
            row.status, row.outcome, row.reason = outcome["status"], outcome, reason
            row.outputs, row.notebook_digest, row.ended_at = kept, notebook, later(row.started_at)
            if row.status == "succeeded":
                row.cell = row.cells
            tokens.revoke_all(change.session, run_id=self.run_id, stage=name)
            data = {"stage": name, "status": row.status, "error": outcome.get("error"), "hint": outcome.get("hint")}
            change.event("stage.ended", self.run_id, data, project)
        self._clear(name)

    def _close_tracking(
        self, project: Project, name: str, outcome: dict[str, Any], executed: Path | None
    ) -> str | None:
        """End the stage's MLflow run. Returns what to tell when MLflow did not answer for two minutes."""
        with self.context.database.read() as session:
            row = session.get_one(StageRun, (self.run_id, name))
        if row.tracking_run is None:
            return None
        for _ in range(120):
            if self.stopping.is_set() or self.tracking.wait(1.0):
                break
        try:
            self.tracking.end_stage_run(project, row.tracking_run, row.params, outcome["status"], executed)
        except TrackingUnavailable as error:
            return f"MLflow did not take the end of this stage: {error}"
        return None

    def _clear(self, name: str) -> None:
        """Remove a stage's working files; notebook and outputs are kept in the content store."""
        self.context.children.forget(self.child_name(self.run_id, name))
        shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self._temporary(name), ignore_errors=True)

    def _temporary(self, name: str) -> Path:
        return self.context.site.runtime / f"s{self.run_id[-8:]}-{name[:20]}"

    def _outcome_file(self, name: str) -> Path:
        return self.folder / name / "outcome.json"

    def _update(self, project: Project, name: str, *, status: str, reason: str | None) -> None:
        with self.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, name))
            row.status, row.reason = status, reason
            change.event("stage.waiting", self.run_id, {"stage": name, "status": status, "reason": reason}, project)

    def _statuses(self) -> dict[str, str]:
        with self.context.database.read() as session:
            rows = session.scalars(select(StageRun).where(StageRun.run_id == self.run_id).order_by(StageRun.position))
            return {row.stage: row.status for row in rows}

    def _cancelled(self) -> bool:
        with self.context.database.read() as session:
            return session.get_one(Run, self.run_id).cancel_requested_by is not None

    def _abandon(self, reason: str) -> None:
        """End the run after a fault of ours: nothing stays open, nothing stays running. Tries until it is written."""
        while not self.stopping.is_set():
            try:
                self._try_abandon(reason)
                return
            except (OSError, DBAPIError):
                log.exception("the end of a run cannot be written yet", extra={"run": self.run_id})
            self.stopping.wait(AGAIN_SECONDS)

    def _try_abandon(self, reason: str) -> None:
        with self.context.database.read() as session:
            run = session.get(Run, self.run_id)
            project = session.get(Project, run.project_id) if run else None
        if run is None or project is None or run.status in TERMINAL:
            return
        for name, status in self._statuses().items():
            if status in TERMINAL:
                continue
            self.context.children.stop(self.child_name(self.run_id, name))
            self._close_tracking(project, name, {"status": "failed"}, None)
        self._finish("failed", reason)

    def _finish(self, status: str, reason: str | None) -> None:
        with self.context.change() as change:
            run = change.session.get(Run, self.run_id)
            if run is None:
                return
            project = change.session.get_one(Project, run.project_id)
            run.status, run.reason, run.ended_at = status, reason, later(run.started_at)
            # also those of a stage that a fault of ours ended
            tokens.revoke_all(change.session, run_id=self.run_id)
            names = []
            for row in change.session.scalars(select(StageRun).where(StageRun.run_id == self.run_id)):
                names.append(row.stage)
                if row.status not in TERMINAL:
                    row.status, row.reason, row.ended_at = "failed", reason, later(row.started_at)
            change.event("run.ended", self.run_id, {"status": status, "reason": reason}, project)
        for name in names:
            self._clear(name)
        shutil.rmtree(self.folder, ignore_errors=True)


def _reason(error: Exception, problem: Problem | None) -> str:
    """Why a run was ended, for a person."""
    if isinstance(problem, StorageFull):
        return "The disk is full: free some space and run again."
    return problem.detail if problem else f"{error}"


def later(before: float | None) -> float:
    """Now, or *before* when the clock was put back meanwhile: nothing ends before it began."""
    return max(now(), before or 0.0)
