"""What every room needs, in one place; made once at the service's start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from ..store import Database, Project
from .auth import Principal
from .children import Children
from .journal import Events, audit
from .once import Once
from .problems import Conflict
from .site import Settings, Site


def open_store(site: Site, settings: Settings) -> Database:
    """The site's database, at whatever schema it is.

    Raises:
        StoreRefused: it cannot be used as configured.
    """
    return Database(settings.database_url or site.database, site.home / "backups")


@dataclass
class Change:
    """A transaction that says what it changed."""

    session: Session
    context: Context
    principal: Principal | None

    def event(self, topic: str, subject: str | None, data: dict[str, Any], project: Project | None = None) -> None:
        """Publish after the commit."""
        self.context.events.add(self.session, topic, subject, data, project)

    def made(self, once: Once | None, subject: str) -> None:
        """Remember what a repeatable request has made; *subject* is how `show` of `make_once` finds it.

        Raises:
            Repeated: the same request has made it already.
        """
        if once is not None:
            once.record(self.session, subject)

    def require_live(self, project: Project) -> None:
        """Refuse, within this transaction, what would begin in a project that is being deleted, or is archived.

        Raises:
            Conflict: it is, or is gone already.
        """
        row = self.session.get(Project, project.id, populate_existing=True)
        if row is None or row.deleting is not None or row.trashed_at is not None:
            raise Conflict(f"The project {project.slug} is being deleted.")
        if row.archived_at is not None:
            raise Conflict(f"The project {project.slug} is archived.", hint=f"himalia project unarchive {project.slug}")

    def audit(self, action: str, project: Project | None, subject: str | None, **detail: Any) -> None:
        """Record who did it."""
        audit(
            self.session,
            actor=self.principal.user if self.principal else "himalia",
            purpose=self.principal.purpose if self.principal else "service",
            action=action,
            project=project.slug if project else None,
            subject=subject,
            detail=detail,
        )


@dataclass
class Context:
    """The site, its store, its events and its children. Thread-safe as its parts are."""

    site: Site
    settings: Settings
    database: Database
    events: Events
    children: Children
    base_url: str = ""
    started_at: float = 0.0
    keep_children: bool = True
    stopping: threading.Event = field(default_factory=threading.Event)
    due: threading.Event = field(default_factory=threading.Event)
    """Set when the housekeeping must not wait for its next turn."""
    require_place: Callable[[], None] = lambda: None
    """Raises Unavailable when what was committed went into files that were removed."""
    first_cluster: Callable[[Project], str | None] = lambda _project: None
    """The cluster that code of a project uses unless told otherwise; set by the room of clusters."""

    @contextmanager
    def change(self, principal: Principal | None = None) -> Iterator[Change]:
        """One committed change, its audit rows and its events, in this order: commit, then publish."""
        with self.database.write() as session:
            yield Change(session, self, principal)
        self.require_place()
        self.events.announce()
