"""Rows of schedules as they are shown."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from ..store import Project, Run, Schedule, ScheduleSlot
from .cron import describe, parse
from .due import active_runs, occurrences_of, pinned_of, policy_in, refusal, target_of
from .models import PinnedView, PreviewView, ScheduleView, SlotView, Time
from .occurrences import Occurrences
from .zones import ZoneError

SHOWN = 5
"""Times to come."""
AHEAD = 300.0
"""Seconds that the newest decision may lie in the future before that is told."""


def preview(cron: str, place: str, now: float) -> PreviewView:
    """What an expression means, from *now* (UTC seconds) on."""
    return PreviewView(
        description=describe(parse(cron)), zone=place, next=times(occurrences_of(cron, place), now, SHOWN)
    )


def times(occurrences: Occurrences, after: float, count: int) -> list[Time]:
    """The next slots, in local time and UTC."""
    return [
        Time(
            slot=slot.name,
            at=slot.at,
            local=occurrences.local(slot.at).isoformat(timespec="minutes"),
            utc=datetime.fromtimestamp(slot.at, UTC).isoformat(timespec="minutes"),
            moved=slot.moved,
        )
        for slot in occurrences.next(after, count)
    ]


def schedule_view(
    session: Session, row: Schedule, project: Project, last: ScheduleSlot | None, now: float
) -> ScheduleView:
    """One schedule."""
    policy, pinned = policy_in(row), pinned_of(row)
    trouble = refusal(session, row, project)
    following: list[Time] = []
    try:
        occurrences = occurrences_of(row.cron, row.zone)
    except ZoneError as error:
        trouble = f"{error} It cannot run until its zone is changed."
    else:
        if not row.paused:
            following = times(occurrences, max(now, row.decided_until), SHOWN)
        if row.decided_until > now + AHEAD:
            when = occurrences.local(row.decided_until).isoformat(timespec="minutes")
            trouble = trouble or (
                f"The clock of this machine was put back: slots until {when} were decided already, and none of them "
                "comes again."
            )
    return ScheduleView(
        id=row.id,
        project=project.slug,
        name=row.name,
        target=target_of(row),
        cron=row.cron,
        zone=row.zone,
        description=describe(parse(row.cron)),
        catch_up=policy.catch_up_words,
        overlap=policy.overlap_words,
        deadline=row.deadline,
        paused=row.paused,
        pinned=PinnedView(
            snapshot=pinned.snapshot,
            commit=pinned.code.get("commit"),
            branch=pinned.code.get("branch"),
            dirty=pinned.code.get("dirty"),
            components=pinned.components,
        ),
        next=following,
        last=slot_views(session, row, [last])[0] if last else None,
        active=[run.id for run in active_runs(session, row.id)],
        trouble=trouble[0].upper() + trouble[1:] if trouble else None,
        created_by=row.created_by,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def slot_views(session: Session, schedule: Schedule, rows: Sequence[ScheduleSlot]) -> list[SlotView]:
    """Slots with what became of their runs."""
    try:
        local = occurrences_of(schedule.cron, schedule.zone).local
    except ZoneError:
        local = _utc
    runs = [row.run_id for row in rows if row.run_id]
    statuses = {run.id: run.status for run in session.query(Run).where(Run.id.in_(runs))} if runs else {}
    return [
        SlotView(
            slot=row.slot,
            due_at=row.due_at,
            local=local(row.due_at).isoformat(timespec="seconds"),
            state=row.state,
            run_id=row.run_id,
            run_status=statuses.get(row.run_id or ""),
            reason=row.reason,
            decided_at=row.decided_at,
        )
        for row in rows
    ]


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def cursor_of(row: ScheduleSlot) -> str:
    """A place in the history, exact to the bit."""
    return struct.pack(">d", row.due_at).hex()


def place_of(cursor: str) -> float | None:
    """The time that `cursor_of` has put into a cursor; None when it is none of its making."""
    return float(struct.unpack(">d", bytes.fromhex(cursor))[0]) if len(cursor) == 16 else None
