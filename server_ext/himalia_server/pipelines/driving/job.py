"""One stage of a run, from its start (or its adoption from a service before us) to its end."""

from __future__ import annotations

import json
import logging
import random
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...projects import seconds
from ...service import tokens
from ...service.children import ChildSpec, Exit
from ...service.environment import child_environment
from ...service.logs import REQUEST_VARIABLE, request_id
from ...service.problems import Problem
from ...service.site import private_folder, write_private
from ...store import Attempt, Run, StageRun, now
from ...team import Role
from ..leases import RENEW_SECONDS
from ..planning import Planned
from .rooms import Outcome, child_name, later, temporary_folder, token_file
from .workspace import chosen, lay_out, lay_out_apart

if TYPE_CHECKING:
    from .driver import Driver

log = logging.getLogger(__name__)
LONGEST_DELAY = 600.0
"""Seconds between two attempts at most."""
RUNNER = (sys.executable, "-P", "-m", "himalia_kernels.run_stage")
"""Its folder is the stage's, where a file of the user's may have the name of a module (-P)."""
REMOTE_RUNNER = (sys.executable, "-P", "-m", "himalia_kernels.on_cluster")
REMOTE_GRACE = 45.0
"""Seconds that a stage on a worker has to end when it is cancelled, and to send its notebook."""


class Job:
    """Runs one stage in a thread of its own, again when its `retries` say so."""

    def __init__(self, driver: Driver, name: str, planned: Planned | None) -> None:
        self.driver, self.name, self.planned = driver, name, planned
        self.rooms, self.run_id = driver.rooms, driver.run_id
        self.stage = driver.state.scene.manifest.stages[name]
        self.place = driver.state.folder / name
        self.child = child_name(driver.run_id, name)
        self.laid: dict[str, str] = {}
        self._why: str | None = None
        self._told: str | None = None
        self._renewed = now()
        self.thread = threading.Thread(target=self._main, name=f"stage-{driver.run_id}-{name}", daemon=True)

    @property
    def outcome_file(self) -> Path:
        """Where the stage's process tells how it ended."""
        return self.place / "outcome.json"

    @property
    def executed(self) -> Path:
        """Its notebook, as far as it is executed."""
        return self.place / "executed.ipynb"

    def _main(self) -> None:
        request_id.set(self.driver.state.run.request_id)
        try:
            self.driver.job_ended(self, self._run())
        except BaseException as error:
            self.driver.job_failed(self, error)

    def _run(self) -> Outcome | None:
        """How it ended; None when the service stops meanwhile."""
        ended = self._ended_attempts()
        while True:
            outcome = self._attempt(ended)
            if outcome is None or self.rooms.stopping.is_set():
                return None
            ended += 1
            outcome["attempts"] = ended
            # a kernel that does not start in time is no fault of the code
            kind = "lost" if outcome.get("limit") == "start" else outcome["status"]
            again = kind in self.stage.retry_on and ended <= self.stage.retries
            if not again or self.driver.ending is not None:
                return outcome
            self._keep_attempt(ended, outcome)
            if not self._pause(ended, outcome):
                return outcome if not self.rooms.stopping.is_set() else None

    def _ended_attempts(self) -> int:
        with self.rooms.context.database.read() as session:
            return session.get_one(StageRun, (self.run_id, self.name)).attempts

    def _attempt(self, ended: int) -> Outcome | None:
        children = self.rooms.context.children
        if children.get(self.child) is None and not self.outcome_file.exists():
            if not self._wait_for_tracking():
                return {"status": "cancelled", "error": "The run was cancelled."}
            self._launch(ended)
            if self.driver.ending is not None:
                # whoever cancelled a moment ago found no process to stop yet
                children.stop(self.child)
        end: Exit | None = None
        if children.get(self.child) is not None:
            while end is None and not self.rooms.stopping.is_set():
                end = children.wait(self.child, 1.0)
                self._tell_place()
                self._renew()
            if end is None:
                return None
        return self._read_outcome(end)

    def _renew(self) -> None:
        """Say now and then that the stage's slots are needed still: a service after this one counts on it."""
        if abs(now() - self._renewed) > RENEW_SECONDS:
            self.rooms.leases.renew([self.driver.holder(self.name)])
            self._renewed = now()

    def _tell_place(self) -> None:
        """Say of a stage on a cluster which worker runs it, or what it waits for."""
        if not self.stage.cluster:
            return
        try:
            if (self.place / "claim.json").exists():
                worker = json.loads((self.place / "claim.json").read_text())["worker"]
                where = f"on {worker} of the cluster {self.stage.cluster}"
                words, event = f"{self._why}; {where}" if self._why else where, "stage.placed"
            else:
                words, event = (self.place / "waiting").read_text(), "stage.waiting"
        except FileNotFoundError:
            return
        if words == self._told:
            return
        self._told = words
        with self.rooms.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, self.name))
            row.reason = words
            data = {"stage": self.name, "status": row.status, "reason": words}
            change.event(event, self.run_id, data, self.driver.state.project)

    def _wait_for_tracking(self) -> bool:
        """Wait until MLflow answers; false when the run ends meanwhile."""
        told = False
        while not self.rooms.tracking.wait(1.0):
            if self.driver.ending is not None or self.rooms.stopping.is_set():
                return False
            self._renew()
            if not told:
                self.driver.recorder.waiting(self.name, "waiting for MLflow to start")
                told = True
        return True

    def _launch(self, ended: int) -> None:
        driver, context = self.driver, self.rooms.context
        private_folder(self.place)
        work = self.place / "work"
        state, stage, produced = driver.state, self.stage, driver.state.produced()
        content = self.rooms.content
        self.laid = chosen(content, self.rooms.planner.reader, state.scene.files, stage, state.declared, produced)
        if stage.cluster:
            lay_out_apart(content, self.laid, state.project.slug, work)
        else:
            lay_out(content, self.laid, stage, produced, work)
        tracking_run = None
        if state.run.kind != "verification":  # which leaves nothing among the project's runs
            tracking_run = self.rooms.tracking.start_stage_run(state.project, self.run_id, self.name)
        token = token_file(context.site, self.run_id, self.name)
        with context.change() as change:
            run = change.session.get_one(Run, self.run_id)
            row = change.session.get_one(StageRun, (self.run_id, self.name))
            tokens.issue(
                change.session,
                purpose="stage",
                user=run.created_by,
                seconds=tokens.STAGE_SECONDS,
                file=token,
                project_id=driver.state.project.id,
                role=Role.CONTRIBUTOR,
                run_id=self.run_id,
                stage=self.name,
            )
            row.status, row.tracking_run = "running", tracking_run
            why = self.planned.why if self.planned else None
            row.reason = f"tried again, attempt {ended + 1}" if ended else why
            self._why, self._told = row.reason, None
            row.started_at = later(run.started_at)
            row.cell, row.label = 0, None
            data = {"stage": self.name, "status": "running", "reason": row.reason, "attempt": ended + 1}
            change.event("stage.started", self.run_id, data, driver.state.project)
            params = row.params
        self._start_child(work, token, params, tracking_run)

    def _start_child(self, work: Path, token_file: Path, params: dict[str, Any], tracking_run: str | None) -> None:
        driver, context, stage = self.driver, self.rooms.context, self.stage
        manifest, used = driver.state.scene.manifest, driver.state.scene.used_by(self.name)
        given = self.rooms.projects.kernels.snapshot(driver.state.project, token_file, work, manifest, used)
        env = given.env
        if driver.state.run.kind == "pipeline":
            env.pop("HIMALIA_CLUSTER", None)  # a stage says itself what it runs on; a notebook finds what kernels find
        env |= driver.state.env | {
            "HIMALIA_RUN": self.run_id,
            "HIMALIA_STAGE": self.name,
        }
        if tracking_run is not None:
            env["MLFLOW_RUN_ID"] = tracking_run
        if stage.cluster:
            env["HIMALIA_CLUSTER"] = stage.cluster
        asked = request_id.get()
        if asked is not None:
            env[REQUEST_VARIABLE] = asked
        grant = self.place / "grant.json"
        write_private(grant, given.model_dump_json())
        project = f"{context.base_url}/api/v1/projects/{driver.state.project.slug}"
        base = f"{project}/runs/{self.run_id}/stages/{self.name}"
        spec = {
            "run_id": self.run_id,
            "stage": self.name,
            "notebook": stage.notebook,
            "workdir": str(work),
            "output": str(self.executed),
            "kernel_name": driver.state.project.kernelspec,
            "parameters": params,
            "timeout_s": seconds(stage.timeout) if stage.timeout else None,
            "cell_timeout_s": seconds(stage.cell_timeout) if stage.cell_timeout else None,
            "grant_file": str(grant),
            "progress_url": f"{base}/progress",
            "token_file": str(token_file),
            "outcome": str(self.outcome_file),
            "outputs": stage.outputs,
            "inputs": stage.inputs,
            "cwd": driver.state.cwd,
            "progress_detail": True,
        }
        runner: tuple[str, ...] = (*RUNNER, str(context.site.zygotes))
        grace = 20.0
        if stage.cluster:
            runner, grace = REMOTE_RUNNER, REMOTE_GRACE
            connection = f"{project}/clusters/{stage.cluster}/connection"
            spec |= {"cluster": stage.cluster, "url": base, "connection_url": connection}
        spec_file = self.place / "spec.json"
        write_private(spec_file, json.dumps(spec))
        temporary = private_folder(temporary_folder(context.site.runtime, self.run_id, self.name))
        context.children.start(
            ChildSpec(
                name=self.child,
                argv=[*runner, "--spec", str(spec_file)],
                env=child_environment(HIMALIA_GRANT_FILE=str(grant), TMPDIR=str(temporary)),
                cwd=str(work),
                grace=grace,
                umask=0o022,
            )
        )

    def _read_outcome(self, end: Exit | None) -> Outcome:
        self.driver.look_for_end()  # whoever cancelled may have stopped the process before the driver looked
        ending = self.driver.ending
        try:
            outcome = dict(json.loads(self.outcome_file.read_text()))
        except (OSError, ValueError):
            if ending is not None:
                return {"status": ending.status, "error": f"{ending.words} before the stage had told anything."}
            how = end.sentence if end else "nothing is left of it"
            return {"status": "lost", "error": f"The stage's process ended without a result: {how}."}
        if outcome["status"] == "cancelled":
            if ending is None:
                outcome["error"] = "The service was stopped while this stage ran (himalia down)."
            else:
                outcome |= {"status": ending.status, "error": f"{ending.words}."}
        return outcome

    def _keep_attempt(self, number: int, outcome: Outcome) -> None:
        """Put down how an attempt ended that is repeated now; then make room for the next."""
        content = self.rooms.content
        notebook = content.put_file(self.executed).digest if self.executed.exists() else None
        log_file = self.rooms.context.site.log(self.child)
        kept = content.put_file(log_file).digest if log_file.exists() else None
        self.driver.recorder.close_tracking(self.name, outcome, self.executed if notebook else None)
        with self.rooms.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, self.name))
            change.session.add(
                Attempt(
                    run_id=self.run_id,
                    stage=self.name,
                    number=number,
                    status=outcome["status"],
                    outcome=outcome,
                    notebook_digest=notebook,
                    log_digest=kept,
                    started_at=row.started_at,
                    ended_at=later(row.started_at),
                )
            )
            row.attempts, row.tracking_run = number, None
            tokens.revoke_all(change.session, run_id=self.run_id, stage=self.name)
            data = {"stage": self.name, "attempt": number, "status": outcome["status"], "error": outcome.get("error")}
            change.event("stage.attempt", self.run_id, data, self.driver.state.project)
        self.driver.recorder.clear(self.name)

    def _pause(self, ended: int, outcome: Outcome) -> bool:
        """Wait before the next attempt, without a slot; false when the run ends meanwhile."""
        delay = min(seconds(self.stage.retry_delay) * 2 ** (ended - 1), LONGEST_DELAY) * random.uniform(1.0, 1.25)  # noqa: S311
        left = self.stage.retries + 1 - ended
        words = f"attempt {ended} ended: {outcome['status']}; tried again in {delay:.0f} s ({left} left)"
        self.driver.recorder.waiting(self.name, words)
        self.rooms.leases.give_back(self.driver.holder(self.name))
        until = threading.Event()
        while delay > 0 and not self.rooms.stopping.is_set():
            if self.driver.ending is not None:
                return False
            until.wait(min(delay, 0.5))
            delay -= 0.5
        while not self.rooms.stopping.is_set():
            if self.driver.ending is not None:
                return False
            wait = self.driver.take(self.name, self.planned)
            if wait is None:
                return True
            self.driver.recorder.waiting(self.name, f"waiting because {wait.words}")
            self.rooms.leases.wait(1.0)
        return False


def problem_of(error: BaseException) -> str:
    """What to tell of a fault that kept a stage from starting or ending."""
    return error.detail if isinstance(error, Problem) else str(error) or type(error).__name__
