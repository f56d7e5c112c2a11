"""Slots that are decided without the clock: of a pause, and before a change. And how much history is kept."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ..service.context import Context
from ..store import Schedule, ScheduleSlot
from .due import Due, occurrences_of
from .policy import ON_TIME
from .zones import ZoneError

KEPT_SLOTS = 10_000
"""Rows of history that each schedule keeps."""


def settle(session: Session, row: Schedule, now: float) -> int:
    """Decide all slots up to *now* before the schedule is changed or resumed. Returns how many were skipped.

    Of a paused one they are skipped. Else the clock was about to decide them: what is due just now waits for it.
    """
    try:
        due = Due.between(occurrences_of(row.cron, row.zone), row.decided_until, now)
    except ZoneError:  # its zone is gone: that is what is being changed
        due = Due(())
    why = "the schedule was paused" if row.paused else "missed: the schedule was changed before it was decided"
    rows = [due.summary(row.id, why, now)]
    skipped = due.earlier
    for slot in due.slots:
        queued = not row.paused and now - slot.at <= ON_TIME
        skipped += not queued
        rows.append(
            ScheduleSlot(
                schedule_id=row.id,
                slot=slot.name,
                due_at=slot.at,
                state="queued" if queued else "skipped",
                reason=None if queued else why,
                decided_at=now,
            )
        )
    for slot_row in rows:
        if slot_row is not None and session.get(ScheduleSlot, (row.id, slot_row.slot)) is None:
            session.add(slot_row)
    row.decided_until = max(row.decided_until, now)
    return skipped


def tidy(context: Context) -> None:
    """Drop the oldest history of schedules that have very much of it."""
    with context.database.read() as session:
        counts = select(ScheduleSlot.schedule_id, func.count()).group_by(ScheduleSlot.schedule_id)
        full = [row[0] for row in session.execute(counts.having(func.count() > KEPT_SLOTS))]
    for schedule_id in full:
        with context.database.write() as session:
            newest = (
                select(ScheduleSlot.due_at)
                .where(ScheduleSlot.schedule_id == schedule_id)
                .order_by(ScheduleSlot.due_at.desc())
                .offset(KEPT_SLOTS - 1)
                .limit(1)
            )
            session.execute(
                delete(ScheduleSlot).where(
                    ScheduleSlot.schedule_id == schedule_id,
                    ScheduleSlot.due_at < newest.scalar_subquery(),
                    ScheduleSlot.state != "queued",
                )
            )
