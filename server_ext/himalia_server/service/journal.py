"""Audit rows and events: written in the transaction of the change that they tell of."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from ..store import AuditRow, Database, EventRow, Project, now

GENESIS = "0" * 64
MEMBERS = "_members"
"""In the data of project.deleted: who may still be told of the project; never sent."""


@dataclass(frozen=True)
class Event:
    """One change of state, as readers see it. `at`: UTC seconds."""

    seq: int
    at: float
    topic: str
    project: str | None
    subject: str | None
    data: dict[str, Any]
    project_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it crosses the wire."""
        return {
            "seq": self.seq,
            "at": self.at,
            "topic": self.topic,
            "project": self.project,
            "subject": self.subject,
            "data": self.data,
        }


class Events:
    """Numbered events: committed with the change, published after it, replayable from any number still kept."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._listeners: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def add(
        self,
        session: Session,
        topic: str,
        subject: str | None,
        data: dict[str, Any],
        project: Project | None = None,
    ) -> None:
        """Put an event into the caller's transaction. Call `announce` once it is committed."""
        row = EventRow(at=now(), topic=topic, subject=subject, data=data)
        if project is not None:
            row.project_id, row.project = project.id, project.slug
        session.add(row)

    def announce(self) -> None:
        """Wake readers: something was committed."""
        with self._lock:
            listeners = list(self._listeners)
        for wake in listeners:
            wake()

    def listen(self, wake: Callable[[], None]) -> None:
        """Have *wake* called, from any thread, after each commit that held events."""
        with self._lock:
            self._listeners.add(wake)

    def unlisten(self, wake: Callable[[], None]) -> None:
        """Undo `listen`."""
        with self._lock:
            self._listeners.discard(wake)

    def bounds(self) -> tuple[int, int]:
        """The oldest number still kept and the newest (0, 0 when there is none)."""
        with self.database.read() as session:
            first = session.scalar(select(EventRow.seq).order_by(EventRow.seq).limit(1))
            last = session.scalar(select(EventRow.seq).order_by(EventRow.seq.desc()).limit(1))
        return first or 0, last or 0

    def gone(self, seq: int, user: str | None) -> set[str]:
        """Ids of projects whose deletion has a number above *seq* and of which *user* (None: anybody) was a member."""
        query = select(EventRow).where(EventRow.seq > seq, EventRow.topic == "project.deleted")
        with self.database.read() as session:
            rows = list(session.scalars(query))
        return {
            row.project_id for row in rows if row.project_id and (user is None or user in row.data.get(MEMBERS, []))
        }

    def after(
        self, seq: int, projects: Collection[str] | None = None, limit: int = 500, last: int | None = None
    ) -> list[Event]:
        """Events with a number above *seq*, up to *last*, oldest first; of these *projects* (ids) and of none, or of
        all."""
        query = select(EventRow).where(EventRow.seq > seq).order_by(EventRow.seq).limit(limit)
        if last is not None:
            query = query.where(EventRow.seq <= last)
        if projects is not None:
            query = query.where(or_(EventRow.project_id.is_(None), EventRow.project_id.in_(projects)))
        with self.database.read() as session:
            return [_event(row) for row in session.scalars(query)]

    def prune(self, older_than: float) -> int:
        """Delete events from before *older_than* (UTC seconds); the newest stays, so that numbers never restart.

        What is kept is without a gap, also when the clock was put back in between: a reader sees by the oldest
        number whether it has missed something.
        """
        with self.database.write() as session:
            last = session.scalar(select(EventRow.seq).order_by(EventRow.seq.desc()).limit(1)) or 0
            old = select(func.max(EventRow.seq)).where(EventRow.at < older_than, EventRow.seq < last)
            rows = session.query(EventRow).where(EventRow.seq <= (session.scalar(old) or 0))
            return rows.delete(synchronize_session=False)


def _event(row: EventRow) -> Event:
    data = {name: value for name, value in row.data.items() if name != MEMBERS}
    return Event(row.seq, row.at, row.topic, row.project, row.subject, data, row.project_id)


def audit(
    session: Session,
    *,
    actor: str,
    purpose: str,
    action: str,
    project: str | None = None,
    subject: str | None = None,
    outcome: str = "allowed",
    detail: dict[str, Any] | None = None,
) -> None:
    """Append an audit row to the caller's transaction. The one writer of the store makes the chain gapless."""
    previous = session.scalar(select(AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)) or GENESIS
    row = AuditRow(
        at=now(),
        actor=actor,
        purpose=purpose,
        action=action,
        project=project,
        subject=subject,
        outcome=outcome,
        detail=detail or {},
        previous=previous,
        hash="",
    )
    row.hash = audit_hash(row)
    session.add(row)
    session.flush()


def audit_hash(row: AuditRow) -> str:
    """SHA-256 (hex) over the row's content and the hash of the row before it."""
    content = [
        row.previous,
        row.at,
        row.actor,
        row.purpose,
        row.action,
        row.project,
        row.subject,
        row.outcome,
    ]
    text = json.dumps([*content, row.detail], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def verify_chain(rows: Iterable[AuditRow]) -> int | None:
    """The number of the first audit row that was changed or whose predecessor is gone; None when all is whole."""
    previous = GENESIS
    for row in rows:
        if row.previous != previous or audit_hash(row) != row.hash:
            return row.seq
        previous = row.hash
    return None
