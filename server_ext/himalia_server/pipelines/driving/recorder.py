"""What is put down of a run: stages that were skipped or have ended, what they made, and the end of the run itself."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Table, bindparam, select, update

from ...content import UnfitContent
from ...projects import output_of
from ...service import tokens
from ...service.context import Change
from ...store import Project, Run, StageRun, now
from ...tracking import TrackingUnavailable
from ..keys import Parts
from ..locks import Made, write_locks
from ..models import TERMINAL
from ..outputs import OutputFault, differing, keep_outputs, publish_outputs
from ..planning import Planned
from ..results import Recorded, note_use, record_result
from .rooms import Outcome, Rooms, child_name, later, temporary_folder
from .state import RunState

log = logging.getLogger(__name__)
_PUT_SKIPPED = update(cast(Table, StageRun.__table__)).where(
    StageRun.run_id == bindparam("of_run"), StageRun.stage == bindparam("of_stage")
)
TOLD = 200
"""Stages in one event; who needs all of them reads the run."""


class Recorder:
    """Puts down what becomes of the stages of one run. Thread-safe."""

    def __init__(self, rooms: Rooms, state: RunState) -> None:
        self.rooms, self.state, self.run_id = rooms, state, state.run_id
        self._told: dict[str, str] = {}
        self._lock = threading.Lock()

    def note_key(self, name: str, planned: Planned) -> None:
        if planned.parts is None:
            return
        digest = self.rooms.content.put_bytes(planned.parts.dump())
        with self.rooms.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, name))
            row.key, row.parts = planned.parts.key, digest

    def skip(self, plans: list[Planned]) -> None:
        """These need not run: put their outputs where they belong, and say so, all in one step."""
        if not plans:
            return
        failed = self._take_locked(plans)
        if self.state.publish:
            failed |= self._publish_known([plan for plan in plans if plan.stage not in failed])
        self._put_skipped(plans, failed)
        for plan in plans:
            status = "failed" if plan.stage in failed else "skipped"
            self.state.set(plan.stage, status, plan.result.outputs if plan.result else {})
        self._write_locks(_made(plan) for plan in plans if plan.stage not in failed)

    def _put_skipped(self, plans: list[Planned], failed: dict[str, str]) -> None:
        """Put down stages that need not run, but those that *failed*: one statement for thousands."""
        time, ended, rows = now(), list[dict[str, Any]](), list[dict[str, Any]]()
        for plan in plans:
            result = plan.result
            assert result is not None
            assert plan.parts is not None
            row: dict[str, Any] = dict.fromkeys(("reason", "cached_from", "key", "parts", "notebook_digest"))
            row |= {"of_run": self.run_id, "of_stage": plan.stage, "outputs": {}, "ended_at": time}
            if plan.stage in failed:
                row |= {"status": "failed", "outcome": {"status": "failed", "error": failed[plan.stage]}}
                ended.append({"stage": plan.stage, "status": "failed", "error": failed[plan.stage]})
            else:
                row |= {"status": "skipped", "outcome": {"status": "skipped", "reads": result.reads}}
                row |= {"reason": plan.why, "cached_from": result.run_id, "key": result.key, "parts": result.parts}
                row |= {"outputs": result.outputs, "notebook_digest": result.notebook_digest}
                ended.append({"stage": plan.stage, "status": "skipped", "from": result.run_id})
            rows.append(row)
        known = [plan.result for plan in plans if plan.result is not None]
        data = {"stages": ended[:TOLD], "more": len(ended) > TOLD}
        with self.rooms.context.change() as change:
            change.session.connection().execute(_PUT_SKIPPED, rows)
            note_use(change.session, [result.id for result in known if result.id])
            change.session.add_all(result for result in known if not result.id)  # of lock files
            change.event("stages.ended", self.run_id, data, self.state.project)

    def _take_locked(self, plans: list[Planned]) -> dict[str, str]:
        """Put what lock files tell of into the content store, before the cache refers to it; stage → what failed."""
        folder, failed = Path(self.state.project.path), dict[str, str]()
        for plan in plans:
            if plan.result is None or plan.result.id:
                continue
            try:
                found = self.rooms.content.put_paths([folder / path for path in plan.result.outputs])
            except UnfitContent as error:
                failed[plan.stage] = str(error)
                continue
            if any(
                folder / path not in found or found[folder / path].digest != digest
                for path, digest in plan.result.outputs.items()
            ):
                failed[plan.stage] = "an output changed while it was read; run again"
            if plan.parts is not None:
                self.rooms.content.put_bytes(plan.parts.dump())
        return failed

    def _publish_known(self, plans: list[Planned]) -> dict[str, str]:
        """Restore what is missing or different in the live folder; stage → why it could not be."""
        folder, failed = Path(self.state.project.path), dict[str, str]()
        known = {plan.stage: plan.result.outputs for plan in plans if plan.result is not None}
        every = {path: digest for outputs in known.values() for path, digest in outputs.items()}
        wrong = set(differing(self.rooms.content, folder, every))
        for name, outputs in known.items():
            if wrong.isdisjoint(outputs):
                continue
            try:
                publish_outputs(self.rooms.content, folder, outputs)
            except OutputFault as fault:
                failed[name] = str(fault)
        return failed

    def waiting(self, name: str, reason: str) -> None:
        """Say why a stage does not run (yet); what was said already is not repeated."""
        with self._lock:
            if self._told.get(name) == reason:
                return
            self._told[name] = reason
        with self.rooms.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, name))
            row.status, row.reason = "waiting", reason
            data = {"stage": name, "status": "waiting", "reason": reason}
            change.event("stage.waiting", self.run_id, data, self.state.project)

    def end(self, name: str, outcome: Outcome, *, ran: bool = False) -> None:
        """Keep notebook and outputs, close the tracking run, tell everybody.

        Everything that can be repeated comes before the commit, so that a crash in between loses nothing.
        """
        content = self.rooms.content
        executed = self.state.folder / name / "executed.ipynb"
        notebook = content.put_file(executed).digest if executed.exists() else None
        kept: dict[str, str] = {}
        if outcome["status"] == "succeeded":
            try:
                kept = keep_outputs(
                    content, self.state.folder / name / "work", self.state.manifest.stages[name].outputs
                )
                if self.state.publish:
                    publish_outputs(content, Path(self.state.project.path), kept)
            except OutputFault as fault:
                outcome = outcome | {"status": "failed", "error": str(fault)}
        reason = self.close_tracking(name, outcome, executed if notebook else None)
        counts = False
        with self.rooms.context.change() as change:
            row = change.session.get_one(StageRun, (self.run_id, name))
            row.status, row.outcome = outcome["status"], outcome
            row.reason = reason or (row.reason if ran else None)
            row.attempts = outcome.get("attempts", row.attempts)
            row.outputs, row.notebook_digest, row.ended_at = kept, notebook, later(row.started_at)
            if row.status == "succeeded":
                row.cell = row.cells
                counts = self._record(change, row, outcome)
            tokens.revoke_all(change.session, run_id=self.run_id, stage=name)
            data = {"stage": name, "status": row.status, "error": outcome.get("error"), "hint": outcome.get("hint")}
            change.event("stage.ended", self.run_id, data, self.state.project)
        self.state.set(name, outcome["status"], kept)
        if row.status == "succeeded" and row.key is not None and row.parts is not None:
            reads = row.outcome.get("reads", {})
            made = Made(name, row.key, row.parts, kept, reads, notebook, self.run_id)
            self._write_locks([made] if counts else [], [] if counts else [name])
        self.clear(name)

    def _record(self, change: Change, row: StageRun, outcome: Outcome) -> bool:
        """Enter what a stage has made into the cache, unless nobody saw which files it read; whether it counts."""
        if row.parts is None or outcome.get("observed") == "none":
            return False
        parts = Parts.load(self.rooms.content.path(row.parts).read_bytes())
        known = {*parts.modules, self.state.manifest.stages[row.stage].notebook}
        files = self.state.scene.files
        reads = {
            path: files[path]
            for path in outcome.get("reads", ())
            if path in files and path not in known and output_of(path, parts.inputs) is None
        }
        row.outcome = outcome | {"reads": reads}
        recorded: Recorded = "trusted"
        # a notebook that is run by itself, or verified, vouches for no stage: it may see other files, and tracks apart
        if self.state.run.kind == "pipeline":
            recorded = record_result(
                change.session,
                self.state.project.id,
                row.stage,
                parts,
                row.parts,
                outputs=dict(row.outputs),
                reads=reads,
                notebook=row.notebook_digest,
                run_id=self.run_id,
            )
        if recorded == "differs":
            row.reason = "not deterministic: it made something else of the same code and inputs before"
        elif outcome.get("writes"):
            names = sorted(outcome["writes"])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said = f"it also wrote {', '.join(names[:3])}{more}, which no output declares: not kept"
            row.reason = f"{row.reason}; {said}" if row.reason else said
        return recorded == "trusted"

    def _write_locks(self, made: Iterable[Made], gone: Iterable[str] = ()) -> None:
        """Tell in the project's folder what was made of what; a folder that takes no file loses nothing else.

        *gone*: stages whose last result nobody is to trust.
        """
        if not self.state.publish:
            return
        try:
            write_locks(self.rooms.content, Path(self.state.project.path), made, gone)
        except OSError as error:
            log.warning("the lock files cannot be written: %s", error, extra={"run": self.run_id})

    def close_tracking(self, name: str, outcome: Outcome, executed: Path | None) -> str | None:
        """End the stage's MLflow run. Returns what to tell when MLflow did not answer for two minutes."""
        with self.rooms.context.database.read() as session:
            row = session.get_one(StageRun, (self.run_id, name))
        if row.tracking_run is None:
            return None
        for _ in range(120):
            if self.rooms.stopping.is_set() or self.rooms.tracking.wait(1.0):
                break
        try:
            self.rooms.tracking.end_stage_run(
                self.state.project, row.tracking_run, row.params, outcome["status"], executed
            )
        except TrackingUnavailable as error:
            return f"MLflow did not take the end of this stage: {error}"
        return None

    def finish(self, status: str, reason: str | None) -> None:
        """End the run; what is left of it is removed, also when its project was deleted meanwhile."""
        with self.rooms.context.change() as change:
            run = change.session.get(Run, self.run_id)
            if run is not None:
                self._put_end(change, run, status, reason)
        if self.state.folder.exists():
            for folder in list(self.state.folder.iterdir()):
                if folder.name in self.state.params:
                    self.clear(folder.name)
            shutil.rmtree(self.state.folder, ignore_errors=True)
        self.rooms.leases.give_back_run(self.state.project.slug, self.run_id)

    def _put_end(self, change: Change, run: Run, status: str, reason: str | None) -> None:
        project = change.session.get_one(Project, run.project_id)
        run.status, run.reason, run.ended_at = status, reason, later(run.started_at)
        # also those of a stage that a fault of ours ended
        tokens.revoke_all(change.session, run_id=self.run_id)
        left = select(StageRun).where(StageRun.run_id == self.run_id, StageRun.status.not_in(TERMINAL))
        for row in change.session.scalars(left):
            row.status, row.reason, row.ended_at = "failed", reason, later(row.started_at)
        for tell in self.rooms.ended:
            tell(change.session, run)
        change.event("run.ended", self.run_id, {"status": status, "reason": reason}, project)

    def clear(self, name: str) -> None:
        """Remove a stage's working files; notebook and outputs are kept in the content store."""
        self.rooms.context.children.forget(child_name(self.run_id, name))
        shutil.rmtree(self.state.folder / name, ignore_errors=True)
        with suppress(OSError):
            shutil.rmtree(temporary_folder(self.rooms.context.site.runtime, self.run_id, name))


def _made(plan: Planned) -> Made:
    """What the lock of a skipped stage tells."""
    assert plan.result is not None
    result = plan.result
    reads = dict(result.reads)
    return Made(plan.stage, result.key, result.parts, result.outputs, reads, result.notebook_digest, result.run_id)
