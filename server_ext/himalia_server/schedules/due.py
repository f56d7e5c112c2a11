"""What a schedule's row says: its slots that are due, its policy, its request to the pipelines."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..pipelines import NOTEBOOK_STAGE, TERMINAL, Options, Pinned, RunRequest
from ..service.auth import Principal
from ..store import Member, Project, Run, Schedule, ScheduleSlot
from ..team import Role, may
from .cron import parse
from .models import NotebookTarget, PipelineTarget
from .occurrences import Occurrences, Slot
from .policy import CatchUp, Overlap, Policy
from .zones import ZoneError, zone

LISTED = 500
"""Missed slots that are listed one by one; those before them are told in one line."""


@lru_cache(maxsize=4096)
def occurrences_of(cron: str, place: str) -> Occurrences:
    """The slots of an expression in a zone.

    Raises:
        ZoneError: the zone is not known (any more).
    """
    return Occurrences(parse(cron), zone(place))


@dataclass(frozen=True)
class Due:
    """Slots whose time has come, oldest first. `earlier`: so many more before them, from `first` to `last`."""

    slots: tuple[Slot, ...]
    earlier: int = 0
    first: Slot | None = None
    last: Slot | None = None

    @classmethod
    def between(cls, occurrences: Occurrences, after: float, until: float) -> Due:
        """Those later than *after* and not later than *until* (UTC seconds)."""
        kept: deque[Slot] = deque()
        earlier, first, last = 0, None, None
        for slot in occurrences.between(after, until):
            kept.append(slot)
            if len(kept) > LISTED:
                last = kept.popleft()
                first = first or last
                earlier += 1
        return cls(tuple(kept), earlier, first, last)

    def summary(self, schedule_id: str, why: str, now: float) -> ScheduleSlot | None:
        """One row for all that are not listed."""
        if self.first is None or self.last is None:
            return None
        more = f", and with it {self.earlier - 1:,} more until {self.last.name}" if self.earlier > 1 else ""
        return ScheduleSlot(
            schedule_id=schedule_id,
            slot=self.first.name,
            due_at=self.first.at,
            state="skipped",
            reason=why + more,
            decided_at=now,
        )


def policy_in(row: Schedule) -> Policy:
    """The policy of a schedule."""
    return Policy(_catch_up(row.catch_up), row.catch_up_most, _overlap(row.overlap), row.queue_most, row.deadline)


def _catch_up(text: str) -> CatchUp:
    return "none" if text == "none" else "all" if text == "all" else "last"


def _overlap(text: str) -> Overlap:
    return "queue" if text == "queue" else "cancel" if text == "cancel" else "allow" if text == "allow" else "skip"


def target_of(row: Schedule) -> PipelineTarget | NotebookTarget:
    """What a schedule runs."""
    options = Options.model_validate(row.options)
    if row.kind == "notebook":
        params = row.params.get(NOTEBOOK_STAGE, {})
        return NotebookTarget(
            kind="notebook", notebook=row.notebook or "", params=params, inputs=row.inputs, options=options
        )
    return PipelineTarget(kind="pipeline", params=row.params, options=options)


def columns_of(target: PipelineTarget | NotebookTarget) -> dict[str, Any]:
    """The columns that hold a target."""
    options = target.options.model_dump(by_alias=True, exclude_defaults=True)
    if isinstance(target, NotebookTarget):
        params = {NOTEBOOK_STAGE: target.params} if target.params else {}
        return {
            "kind": "notebook",
            "notebook": target.notebook,
            "inputs": target.inputs,
            "params": params,
            "options": options,
        }
    return {"kind": "pipeline", "notebook": None, "inputs": [], "params": target.params, "options": options}


def request_of(target: PipelineTarget | NotebookTarget, **more: Any) -> RunRequest:
    """What the pipelines are asked for; *more*: other fields of the request."""
    columns = columns_of(target)
    return RunRequest(
        params=columns["params"],
        options=target.options,
        kind="notebook" if isinstance(target, NotebookTarget) else "pipeline",
        notebook=columns["notebook"],
        inputs=tuple(columns["inputs"]),
        trigger="schedule",
        **more,
    )


def pinned_of(row: Schedule) -> Pinned:
    """The code that a schedule runs."""
    return Pinned(**row.pinned)


def pinned_column(pinned: Pinned) -> dict[str, Any]:
    """As it is stored."""
    return asdict(pinned)


def variables_of(row: Schedule, at: float) -> dict[str, str]:
    """What a run of a schedule finds in its environment: `HIMALIA_SLOT`, the time that a notebook is run for.

    ISO 8601 with the offset of the schedule's zone; it differs from the clock's when a slot is made up for. Stages do
    not get it: what they make would depend on more than their keys tell. *at*: UTC seconds.
    """
    if row.kind != "notebook":
        return {}
    try:
        place = zone(row.zone)
    except ZoneError:  # it was known once; who runs it now by hand need not know
        place = ZoneInfo("UTC")
    return {"HIMALIA_SLOT": datetime.fromtimestamp(at, place).isoformat(timespec="seconds")}


def owner_of(row: Schedule, project: Project) -> Principal:
    """In whose name a schedule runs; never with more than a contributor's rights."""
    return Principal(row.created_by, "schedule", None, "", project.id, Role.CONTRIBUTOR, None, None)


def refusal(session: Session, row: Schedule, project: Project) -> str | None:
    """Why nothing of the schedule may start; None when all is well."""
    if project.archived_at is not None:
        return f"the project {project.slug} is archived"
    member = session.get(Member, (project.id, row.created_by))
    if member is None:
        return f"{row.created_by}, in whose name it runs, is no member of {project.slug} any more"
    if not may(Role(member.role), "run.start"):
        return f"{row.created_by}, in whose name it runs, is {member.role} of {project.slug} and may start no runs"
    return None


def active_runs(session: Session, schedule_id: str) -> list[Run]:
    """Runs of a schedule that go on, oldest first."""
    return list(
        session.scalars(select(Run).where(Run.schedule_id == schedule_id, Run.status.not_in(TERMINAL)).order_by(Run.id))
    )


def queued_slots(session: Session, schedule_id: str) -> list[Slot]:
    """Slots that wait, oldest first."""
    rows = session.scalars(
        select(ScheduleSlot)
        .where(ScheduleSlot.schedule_id == schedule_id, ScheduleSlot.state == "queued")
        .order_by(ScheduleSlot.due_at, ScheduleSlot.slot)
    )
    return [Slot(row.slot, row.due_at) for row in rows]
