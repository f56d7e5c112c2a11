"""Schedules: made, changed, paused; what the clock has done with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from ..pipelines import Pinned, RunRequest, RunView
from ..projects import seconds
from ..service.auth import Principal
from ..service.context import Context
from ..service.once import Once
from ..service.problems import Conflict, Invalid, NotFound, nearest
from ..store import Project, Run, Schedule, ScheduleSlot, new_id
from .clock import Clock, Starts, in_thread
from .due import active_runs, columns_of, pinned_column, pinned_of, request_of, target_of, variables_of
from .history import settle
from .models import (
    CodeUpdated,
    NotebookTarget,
    PipelineTarget,
    PreviewView,
    ScheduleCreate,
    SchedulePatch,
    ScheduleView,
    SlotView,
    policy_of,
)
from .views import cursor_of, place_of, preview, schedule_view, slot_views

MOST = 1000
"""Schedules of a project."""


class Runs(Starts, Protocol):
    """What the room needs of the pipelines."""

    def pin(self, principal: Principal, project: Project, request: RunRequest) -> Pinned: ...

    def check_pinned(self, request: RunRequest) -> None: ...

    def view(self, project: Project, run_id: str) -> RunView: ...


class Schedules:
    """The logic of the room. *clock*: UTC seconds; *spawn*: see `Clock`."""

    def __init__(
        self,
        context: Context,
        pipelines: Runs,
        clock: Callable[[], float] = time.time,
        spawn: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self.context, self.pipelines, self.now = context, pipelines, clock
        self.clock = Clock(context, pipelines, clock, spawn)

    def start(self) -> None:
        """Begin: what was missed while no service ran is decided first."""
        self.clock.start()

    def stop(self) -> None:
        """The service goes: start nothing more."""
        self.clock.stop()

    def on_run_ended(self, _session: Session, run: Run) -> None:
        """A run has ended: what waits for that is looked at."""
        if run.schedule_id is not None:
            self.clock.wake()

    def pinned(self, schedule_id: str) -> Pinned | None:
        """The code that a schedule is pinned to now; None: there is none of that id."""
        with self.context.database.read() as session:
            row = session.get(Schedule, schedule_id)
            return pinned_of(row) if row is not None else None

    def preview(self, cron: str, zone: str) -> PreviewView:
        """What an expression means, and when it would be due."""
        return preview(cron, zone, self.now())

    def page(self, project: Project, cursor: str | None, limit: int) -> tuple[list[ScheduleView], str | None]:
        """Schedules of a project by name, and where to go on."""
        query = select(Schedule).where(Schedule.project_id == project.id).order_by(Schedule.name).limit(limit + 1)
        if cursor is not None:
            query = query.where(Schedule.name > cursor)
        with self.context.database.read() as session:
            rows = list(session.scalars(query))
            views = [self._view(session, row, project) for row in rows[:limit]]
        return views, rows[limit - 1].name if len(rows) > limit else None

    def view(self, project: Project, name: str) -> ScheduleView:
        """One schedule.

        Raises:
            NotFound: the project has none of that name.
        """
        with self.context.database.read() as session:
            return self._view(session, self._row(session, project, name), project)

    def made(self, project: Project, row_id: str) -> ScheduleView:
        """The schedule that an earlier request has made.

        Raises:
            NotFound: it was deleted since.
        """
        with self.context.database.read() as session:
            row = session.get(Schedule, row_id)
            if row is None:
                raise NotFound("The schedule that this request had made was deleted since.")
            return self._view(session, row, project)

    def create(
        self, principal: Principal, project: Project, body: ScheduleCreate, once: Once | None = None
    ) -> ScheduleView:
        """Make a schedule, pinned to the project's code of now.

        Raises:
            Conflict: there is one of that name. Invalid: what it is to run cannot run.
        """
        with self.context.database.read() as session:
            self._require_free(session, project, body.name)
        pinned = self.pipelines.pin(principal, project, request_of(body.target))
        deadline = seconds(body.deadline) if body.deadline else None
        policy = policy_of(body.catch_up, body.overlap, deadline)
        with self.context.change(principal) as change:
            change.require_live(project)
            self._require_free(change.session, project, body.name)
            now = self.now()
            row = Schedule(
                project_id=project.id,
                name=body.name,
                **columns_of(body.target),
                cron=body.cron,
                zone=body.zone,
                catch_up=policy.catch_up,
                catch_up_most=policy.catch_up_most,
                overlap=policy.overlap,
                queue_most=policy.queue_most,
                deadline=deadline,
                paused=body.paused,
                pinned=pinned_column(pinned),
                decided_until=now,
                created_by=principal.user,
                created_at=now,
                changed_at=now,
            )
            change.session.add(row)
            change.session.flush()
            change.made(once, row.id)
            change.audit("schedule.create", project, body.name, cron=body.cron, zone=body.zone, code=pinned.snapshot)
            change.event("schedule.created", body.name, {"paused": body.paused}, project)
            view = self._view(change.session, row, project)
        self.clock.wake()
        return view

    def patch(self, principal: Principal, project: Project, name: str, body: SchedulePatch) -> ScheduleView:
        """Change a schedule. Slots that have passed stay as they were decided.

        Raises:
            NotFound: there is none of that name. Invalid: the target is another one, or does not fit the pinned code.
        """
        given = body.model_fields_set
        for field in given - {"deadline"}:
            if getattr(body, field) is None:
                raise Invalid(f"{field} cannot be null.", hint="Leave out what is to stay.", field=field)
        with self.context.database.read() as session:
            row = self._row(session, project, name)
            self._check_target(row, body.target)
        if body.target is not None:
            self.pipelines.check_pinned(request_of(body.target, pinned=pinned_of(row)))
        with self.context.change(principal) as change:
            row = self._row(change.session, project, name)
            self._check_target(row, body.target)
            changed: dict[str, str] = {}
            if body.target is not None:
                for column, value in columns_of(body.target).items():
                    setattr(row, column, value)
                changed["target"] = body.target.kind
                self._run_as(row, principal, changed)
            if body.cron is not None or body.zone is not None:
                settle(change.session, row, self.now())
                for key, value in (("cron", body.cron), ("zone", body.zone)):
                    if value is not None:
                        changed[key] = f"{getattr(row, key)} → {value}"
                        setattr(row, key, value)
            if body.catch_up is not None or body.overlap is not None:
                self._policy(row, body, changed)
            if "deadline" in given:
                row.deadline = seconds(body.deadline) if body.deadline else None
                changed["deadline"] = body.deadline or "none"
            row.changed_at = self.now()
            change.audit("schedule.change", project, name, **changed)
            change.event("schedule.changed", name, {"changed": sorted(changed)}, project)
            view = self._view(change.session, row, project)
        self.clock.wake()
        return view

    def delete(self, principal: Principal, project: Project, name: str) -> None:
        """Forget a schedule and its history. Runs of it that go on are not stopped."""
        with self.context.change(principal) as change:
            row = self._row(change.session, project, name)
            change.session.execute(delete(ScheduleSlot).where(ScheduleSlot.schedule_id == row.id))
            change.session.delete(row)
            change.audit("schedule.delete", project, name)
            change.event("schedule.deleted", name, {}, project)

    def pause(self, principal: Principal, project: Project, name: str) -> ScheduleView:
        """Start nothing more of it; a run that goes on is not stopped. Repeating it does no harm."""
        with self.context.change(principal) as change:
            row = self._row(change.session, project, name)
            if not row.paused:
                now = self.now()
                row.paused, row.changed_at = True, now
                for slot in change.session.scalars(_slots(row).where(ScheduleSlot.state == "queued")):
                    slot.state, slot.decided_at = "skipped", now
                    slot.reason = f"{principal.user} paused the schedule while it waited"
                change.audit("schedule.pause", project, name)
                change.event("schedule.paused", name, {}, project)
            return self._view(change.session, row, project)

    def resume(self, principal: Principal, project: Project, name: str) -> ScheduleView:
        """Go on from the next slot; those of the pause are recorded, and not run. Repeating it does no harm."""
        with self.context.change(principal) as change:
            row = self._row(change.session, project, name)
            if row.paused:
                now = self.now()
                skipped = settle(change.session, row, now)
                row.paused, row.changed_at = False, now
                change.audit("schedule.resume", project, name, skipped=skipped)
                change.event("schedule.resumed", name, {"skipped": skipped}, project)
            view = self._view(change.session, row, project)
        self.clock.wake()
        return view

    def run_now(self, principal: Principal, project: Project, name: str, once: Once | None = None) -> RunView:
        """Run it once by hand, in the name of who asks; its slots are not touched. Also while it is paused.

        Raises:
            Conflict: a run of it goes on, and its overlap is not `allow`.
        """
        with self.context.database.read() as session:
            row = self._row(session, project, name)
            others = [run.id for run in active_runs(session, row.id)]
        if others and row.overlap != "allow":
            raise self._busy(project, name, others[0])
        slot = f"by hand {new_id()}"

        def claim(session: Session, run: Run) -> None:
            current = session.get(Schedule, row.id, populate_existing=True)
            if current is None:
                raise NotFound(f"The schedule {name} was deleted meanwhile.")
            if current.overlap != "allow" and (going := [o for o in active_runs(session, row.id) if o.id != run.id]):
                raise self._busy(project, name, going[0].id)
            now = self.now()
            reason = f"{principal.user} asked for it"
            session.add(
                ScheduleSlot(
                    schedule_id=row.id,
                    slot=slot,
                    due_at=now,
                    state="started",
                    run_id=run.id,
                    reason=reason,
                    decided_at=now,
                )
            )
            self.context.events.add(session, "schedule.started", name, {"slot": slot, "run": run.id}, project)

        request = request_of(
            target_of(row),
            pinned=pinned_of(row),
            schedule_id=row.id,
            slot=slot,
            env=variables_of(row, self.now()),
            on_created=claim,
        )
        return self.pipelines.start(principal, project, request, once)

    def update_code(self, principal: Principal, project: Project, name: str) -> CodeUpdated:
        """Pin it to the project's code of now; from then on it runs in the name of who asked for that.

        Raises:
            Invalid: what it runs cannot run with that code.
        """
        with self.context.database.read() as session:
            target = target_of(self._row(session, project, name))
        pinned = self.pipelines.pin(principal, project, request_of(target))
        with self.context.change(principal) as change:
            change.require_live(project)
            row = self._row(change.session, project, name)
            before = pinned_of(row)
            changed = before != pinned
            detail: dict[str, str] = {"before": before.snapshot, "after": pinned.snapshot}
            self._run_as(row, principal, detail)
            row.pinned, row.changed_at = pinned_column(pinned), self.now()
            change.audit("schedule.update-code", project, name, **detail)
            change.event("schedule.changed", name, {"changed": ["code"]}, project)
            view = self._view(change.session, row, project)
        self.clock.wake()
        return CodeUpdated(**view.model_dump(), before=before.snapshot, changed=changed)

    def slots(self, project: Project, name: str, cursor: str | None, limit: int) -> tuple[list[SlotView], str | None]:
        """What became of its slots, newest first, and where to go on.

        Raises:
            Invalid: the cursor is none.
        """
        with self.context.database.read() as session:
            row = self._row(session, project, name)
            query = _newest(row).limit(limit + 1)
            if cursor is not None:
                place = place_of(cursor)
                if place is None:
                    raise Invalid("This cursor is none of a history.", hint="Leave it out.", field="cursor")
                query = query.where(ScheduleSlot.due_at < place)
            found = list(session.scalars(query))
            views = slot_views(session, row, found[:limit])
        return views, cursor_of(found[limit - 1]) if len(found) > limit else None

    @staticmethod
    def _policy(row: Schedule, body: SchedulePatch, changed: dict[str, str]) -> None:
        from_row = policy_of(body.catch_up or "last", body.overlap or "skip", None)
        if body.catch_up is not None:
            row.catch_up, row.catch_up_most = from_row.catch_up, from_row.catch_up_most
            changed["catch_up"] = body.catch_up
        if body.overlap is not None:
            row.overlap, row.queue_most = from_row.overlap, from_row.queue_most
            changed["overlap"] = body.overlap

    @staticmethod
    def _run_as(row: Schedule, principal: Principal, detail: dict[str, str]) -> None:
        """Who says what runs is who it runs as."""
        if row.created_by != principal.user:
            detail["runs_as"] = f"{row.created_by} → {principal.user}"
            row.created_by = principal.user

    @staticmethod
    def _check_target(row: Schedule, target: PipelineTarget | NotebookTarget | None) -> None:
        if target is None:
            return
        if target.kind != row.kind or (isinstance(target, NotebookTarget) and target.notebook != row.notebook):
            runs = f"the notebook {row.notebook}" if row.kind == "notebook" else "the pipeline"
            raise Invalid(
                f"{row.name} runs {runs}, and cannot run something else.",
                hint="Make another schedule for that.",
                field="target",
            )

    @staticmethod
    def _busy(project: Project, name: str, run_id: str) -> Conflict:
        return Conflict(
            f"The run {run_id} of {name} goes on.",
            hint=f"Wait for its end, or stop it: himalia run cancel {run_id} --project {project.slug}",
        )

    def _view(self, session: Session, row: Schedule, project: Project) -> ScheduleView:
        last = session.scalar(_newest(row).limit(1))
        return schedule_view(session, row, project, last, self.now())

    @staticmethod
    def _row(session: Session, project: Project, name: str) -> Schedule:
        row = session.scalar(select(Schedule).where(Schedule.project_id == project.id, Schedule.name == name))
        if row is None:
            known = session.scalars(select(Schedule.name).where(Schedule.project_id == project.id))
            raise NotFound(f"{project.slug} has no schedule {name!r}.", hint=nearest(name, known))
        return row

    @staticmethod
    def _require_free(session: Session, project: Project, name: str) -> None:
        names = set(session.scalars(select(Schedule.name).where(Schedule.project_id == project.id)))
        if name in names:
            raise Conflict(
                f"{project.slug} has a schedule {name} already.",
                hint=f"Choose another name, or change it: himalia schedule show {name} --project {project.slug}",
            )
        if len(names) >= MOST:
            raise Conflict(f"{project.slug} has {MOST} schedules, and cannot have more.", hint="Delete some.")


def _slots(row: Schedule) -> Select[Any]:
    return select(ScheduleSlot).where(ScheduleSlot.schedule_id == row.id)


def _newest(row: Schedule) -> Select[Any]:
    return _slots(row).order_by(ScheduleSlot.due_at.desc(), ScheduleSlot.slot.desc())
