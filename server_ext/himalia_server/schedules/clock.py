"""The clock: what is due is decided, recorded, and only then started, so that nothing can lose or double a slot.

Each slot is first a row that is queued; the transaction that makes its run turns the row into a started one. Killed
before that, the slot is still queued and the next service starts it; killed after it, the run is there. A slot is
never decided twice: its row is found by its name, and `decided_until` only grows, whatever is done to the clock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ..pipelines import RunRequest, RunView
from ..service.auth import Principal
from ..service.context import Change, Context
from ..service.once import Once
from ..service.problems import Conflict, Problem, StorageFull, Unavailable
from ..service.replies import as_problem
from ..store import Project, Run, Schedule, ScheduleSlot
from .due import (
    Due,
    active_runs,
    occurrences_of,
    owner_of,
    pinned_of,
    policy_in,
    queued_slots,
    refusal,
    request_of,
    target_of,
    variables_of,
)
from .occurrences import Slot
from .policy import Decision, Queue, Situation, Skip, Start, decide
from .zones import ZoneError

log = logging.getLogger(__name__)
LONGEST = 20.0
"""Seconds between looks at the clock, which may be moved meanwhile; a computer may sleep."""
WHILE_WAITING = 3.0
"""The same while a slot waits for something."""
AT_ONCE = 4
"""Starts at a time: taking the inputs of one may take long, and must not keep the others."""


class Withdrawn(Exception):
    """A slot is not to be started (any more, or not yet)."""


class Starts(Protocol):
    """What the clock needs of the pipelines."""

    def start(
        self, principal: Principal, project: Project, request: RunRequest, once: Once | None = None
    ) -> RunView: ...

    def cancel(self, principal: Principal, project: Project, run_id: str) -> RunView: ...


def in_thread(work: Callable[[], None]) -> None:
    """Have *work* done beside everything else."""
    threading.Thread(target=work, name="schedule-start", daemon=True).start()


class Clock:
    """Decides what is due, again and again, in a thread of its own.

    *clock*: UTC seconds. *spawn*: has a start done, now or beside. `on_failure`: called in the transaction in which a
    slot is skipped because it could not be started.
    """

    def __init__(
        self,
        context: Context,
        pipelines: Starts,
        clock: Callable[[], float] = time.time,
        spawn: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self.context, self.pipelines, self.clock, self.spawn = context, pipelines, clock, spawn
        self.on_failure: Callable[[Session, Project, Schedule, str, str], None] = lambda *_: None
        self._starting: dict[tuple[str, str], Slot] = {}
        self._lock = threading.Lock()
        self._places = threading.Semaphore(AT_ONCE)
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tick."""
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping.set()
        self._changed.set()

    def wake(self) -> None:
        """Look at once: a schedule was changed, or a run has ended."""
        self._changed.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._changed.clear()
            try:
                wait = self.tick()
            except Exception:
                log.exception("the schedules could not be looked at; tried again soon")
                wait = WHILE_WAITING
            self._changed.wait(wait)

    def tick(self) -> float:
        """Decide all that is due. Returns how many seconds there are until there can be more to do."""
        query = (
            select(Schedule, Project)
            .join(Project, Project.id == Schedule.project_id)
            .where(Schedule.paused.is_(False), Project.deleting.is_(None), Project.trashed_at.is_(None))
            .order_by(Schedule.id)
        )
        with self.context.database.read() as session:
            rows = [(row[0], row[1]) for row in session.execute(query)]
        wait = LONGEST
        for schedule, project in rows:
            if self._stopping.is_set():
                break
            try:
                wait = min(wait, self._look(schedule, project))
            except (DBAPIError, ZoneError) as error:
                log.warning("the schedule %s of %s waits: %s", schedule.name, project.slug, error)
                wait = min(wait, WHILE_WAITING)
            except Exception:
                log.exception("the schedule %s of %s could not be looked at", schedule.name, project.slug)
        return max(0.0, wait)

    def _look(self, schedule: Schedule, project: Project) -> float:
        occurrences = occurrences_of(schedule.cron, schedule.zone)
        now = self.clock()
        due = Due.between(occurrences, schedule.decided_until, now)
        with self._lock:
            starting = [slot for (owner, _), slot in self._starting.items() if owner == schedule.id]
        with self.context.database.read() as session:
            runs = [run.id for run in active_runs(session, schedule.id)]
            names = {slot.name for slot in starting}
            queued = [slot for slot in queued_slots(session, schedule.id) if slot.name not in names]
            refused = refusal(session, schedule, project)
        active = (*runs, *(f"of the slot {slot.name}" for slot in starting))
        if due.slots or queued:
            situation = Situation(active, tuple(queued), refused)
            decisions = decide(policy_in(schedule), situation, due.slots, now)
            self._cancel(schedule, project, decisions, set(runs))
            if self._record(schedule, project, due, decisions, now):
                for decision in decisions:
                    if isinstance(decision, Start):
                        self._begin(schedule, project, decision)
        following = next(iter(occurrences.after(max(now, schedule.decided_until))), None)
        wait = following.at - self.clock() if following else LONGEST
        return min(wait, WHILE_WAITING) if queued or due.slots else wait

    def _cancel(self, schedule: Schedule, project: Project, decisions: list[Decision], runs: set[str]) -> None:
        """Before the slot is recorded: killed in between, it is decided again, and finds nothing that goes on."""
        who = Principal(f"schedule {schedule.name}", "schedule", None, "", project.id, None, None, None)
        for decision in decisions:
            for run_id in decision.cancel if isinstance(decision, Queue) else ():
                if run_id in runs:
                    try:
                        self.pipelines.cancel(who, project, run_id)
                    except Conflict:
                        log.info("the run %s has ended by itself", run_id)

    def _record(self, schedule: Schedule, project: Project, due: Due, decisions: list[Decision], now: float) -> bool:
        """Write all decisions in one transaction; false when the schedule was changed since it was read."""
        with self.context.change() as change:
            row = change.session.get(Schedule, schedule.id, populate_existing=True)
            if row is None or row.paused or row.changed_at != schedule.changed_at:
                self._changed.set()
                return False
            row.decided_until = max(row.decided_until, due.slots[-1].at if due.slots else 0.0)
            summary = due.summary(row.id, f"missed: catch_up = {policy_in(row).catch_up_words}", now)
            if summary is not None and change.session.get(ScheduleSlot, (row.id, summary.slot)) is None:
                change.session.add(summary)
            for decision in decisions:
                self._write(change, row, project, decision, now)
        return True

    def _write(self, change: Change, schedule: Schedule, project: Project, decision: Decision, now: float) -> None:
        slot = decision.slot
        row = change.session.get(ScheduleSlot, (schedule.id, slot.name))
        if row is not None and row.state != "queued":
            log.warning("the slot %s of %s was decided before: %s", slot.name, schedule.name, row.state)
            return
        if row is None:
            row = ScheduleSlot(schedule_id=schedule.id, slot=slot.name, due_at=slot.at, state="queued")
            change.session.add(row)
        row.decided_at = now
        if isinstance(decision, Skip):
            row.state, row.reason = "skipped", decision.reason
            change.event("schedule.skipped", schedule.name, {"slot": slot.name, "reason": decision.reason}, project)
            if project.archived_at is None and decision.reason == refusal(change.session, schedule, project):
                self.on_failure(change.session, project, schedule, slot.name, decision.reason)
        elif isinstance(decision, Queue):
            row.reason = decision.reason
            change.event("schedule.queued", schedule.name, {"slot": slot.name, "reason": decision.reason}, project)
        else:
            moved = "clocks went forward over its time, so that it ran right after" if slot.moved else None
            row.reason = "; ".join(filter(None, (decision.reason, moved))) or None

    def _begin(self, schedule: Schedule, project: Project, decision: Start) -> None:
        key = (schedule.id, decision.slot.name)
        with self._lock:
            if key in self._starting:
                return
            self._starting[key] = decision.slot

        def work() -> None:
            try:
                with self._places:
                    if not self._stopping.is_set():
                        self._start(schedule, project, decision.slot)
            except Exception:
                log.exception("the end of a start could not be written; the slot stays queued")
            finally:
                with self._lock:
                    del self._starting[key]
                self._changed.set()

        self.spawn(work)

    def _start(self, schedule: Schedule, project: Project, slot: Slot) -> None:
        def claim(session: Session, run: Run) -> None:
            claim_slot(session, schedule, slot.name, run, self.clock())
            data = {"slot": slot.name, "run": run.id}
            self.context.events.add(session, "schedule.started", schedule.name, data, project)

        request = request_of(
            target_of(schedule),
            pinned=pinned_of(schedule),
            schedule_id=schedule.id,
            slot=slot.name,
            env=variables_of(schedule, slot.at),
            on_created=claim,
        )
        try:
            self.pipelines.start(owner_of(schedule, project), project, request)
        except Withdrawn as why:
            log.info("the slot %s of the schedule %s is not started: %s", slot.name, schedule.name, why)
        except (StorageFull, Unavailable, OSError, DBAPIError) as error:
            problem = as_problem(error, self.context.site.home) if not isinstance(error, Problem) else error
            self._put_off(schedule, slot, problem.detail if problem else str(error))
        except Problem as problem:
            self._give_up(schedule, project, slot, " ".join(filter(None, (problem.detail, problem.hint))))
        except Exception as error:
            log.exception("a slot could not be started", extra={"schedule": schedule.name})
            self._give_up(schedule, project, slot, f"a fault of Himalia: {type(error).__name__}: {error}")

    def _put_off(self, schedule: Schedule, slot: Slot, why: str) -> None:
        """It may go well later: the slot stays queued."""
        log.warning("the slot %s of the schedule %s waits: %s", slot.name, schedule.name, why)
        with self.context.change() as change:
            row = change.session.get(ScheduleSlot, (schedule.id, slot.name))
            if row is not None and row.state == "queued":
                row.reason = f"cannot start now, and is tried again: {why}"

    def _give_up(self, schedule: Schedule, project: Project, slot: Slot, why: str) -> None:
        with self.context.change() as change:
            row = change.session.get(ScheduleSlot, (schedule.id, slot.name))
            if row is None or row.state != "queued":
                return
            row.state, row.reason = "skipped", f"could not start: {why}"
            row.decided_at = self.clock()
            data = {"slot": slot.name, "reason": row.reason}
            change.event("schedule.skipped", schedule.name, data, project)
            self.on_failure(change.session, project, schedule, slot.name, row.reason)


def claim_slot(session: Session, seen: Schedule, name: str, run: Run, now: float) -> None:
    """Turn a queued slot into a started one, within the transaction that makes its run.

    *seen*: the schedule as it was read, from which the run was made.

    Raises:
        Withdrawn: it is not queued any more, the schedule is gone, paused, changed or refused, or another run of it
            goes on.
    """
    schedule = session.get(Schedule, seen.id, populate_existing=True)
    row = session.get(ScheduleSlot, (seen.id, name), populate_existing=True)
    if schedule is None or schedule.paused or schedule.changed_at != seen.changed_at:
        raise Withdrawn("the schedule is paused, changed or gone")
    if row is None or row.state != "queued":
        raise Withdrawn("it was decided meanwhile")
    require_free(session, schedule, session.get_one(Project, schedule.project_id), run)
    row.state, row.run_id, row.decided_at = "started", run.id, now


def require_free(session: Session, schedule: Schedule, project: Project, run: Run) -> None:
    """Let *run* be, unless nothing of the schedule may start, or another run of it goes on.

    Raises:
        Withdrawn: so it is.
    """
    why = refusal(session, schedule, project)
    if why is not None:
        raise Withdrawn(why)
    if schedule.overlap != "allow" and any(other.id != run.id for other in active_runs(session, schedule.id)):
        raise Withdrawn("another run of it goes on")
