"""Notifications: who is told of a schedule's first failure and of its recovery, and what people have read."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..pipelines import GOOD
from ..service.auth import Principal
from ..service.context import Context
from ..service.once import Once
from ..service.problems import Conflict, NotFound, Problem, nearest
from ..store import Delivery, Notice, Notifier, Project, Run, Schedule, StageRun, new_id
from ..vault import Vault
from .addresses import masked
from .models import NoticeView, NotifierCreate, NotifierCreated, NotifierView, Tested, WebhookTarget
from .outbox import Outbox, in_thread
from .sending import Parcel, Undelivered, mail, post
from .telling import body_of_refusal, body_of_run

MOST = 50
"""Notifiers of a project."""
COUNTED = 1000
"""Notices that are looked through for unread ones."""
KEPT_SECONDS = 180 * 86400.0
"""Notices are kept so long."""
PREFIX = "whsec_"


class Notifications:
    """The logic of the room. *clock*: UTC seconds; *spawn*: see `Outbox`."""

    def __init__(
        self,
        context: Context,
        vault: Vault,
        clock: Callable[[], float] = time.time,
        spawn: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self.context, self.vault, self.now = context, vault, clock
        self.outbox = Outbox(context, self._send, clock, spawn)
        vault.others.append(sealed_rows)

    def start(self) -> None:
        """Begin to deliver: what a service before this one has left, too."""
        self.outbox.start()

    def stop(self) -> None:
        """The service goes."""
        self.outbox.stop()

    def on_run_ended(self, session: Session, run: Run) -> None:
        """A run has ended; within the transaction that says so."""
        asked = run.cancel_requested_by is not None  # else the service was stopped amid it
        if run.schedule_id is None or (run.status == "cancelled" and asked):
            return
        schedule = session.get(Schedule, run.schedule_id)
        project = session.get(Project, run.project_id)
        if schedule is None or project is None:
            return
        failing = self._failing(session, schedule)
        good = run.status in GOOD
        if good == failing:
            stages = list(session.scalars(select(StageRun).where(StageRun.run_id == run.id)))
            body = body_of_run(project, schedule, run, stages, self.context.settings.address)
            self._add(session, project, "recovery" if good else "failure", body, schedule, run.id)

    def on_start_failed(self, session: Session, project: Project, schedule: Schedule, slot: str, why: str) -> None:
        """A slot could not be started; within the transaction that says so."""
        if not self._failing(session, schedule):
            body = body_of_refusal(project, schedule, slot, why, self.context.settings.address)
            self._add(session, project, "failure", body, schedule, None)

    def notifiers(self, project: Project) -> list[NotifierView]:
        """Who is told, by name."""
        with self.context.database.read() as session:
            query = select(Notifier).where(Notifier.project_id == project.id).order_by(Notifier.name)
            return [_view(session, row) for row in session.scalars(query)]

    def create(
        self, principal: Principal, project: Project, body: NotifierCreate, once: Once | None = None
    ) -> NotifierCreated:
        """Tell somebody more, from now on.

        Raises:
            Conflict: there is one of that name, or there are too many.
        """
        with self.vault.held():
            return self._create(principal, project, body, once)

    def _create(
        self, principal: Principal, project: Project, body: NotifierCreate, once: Once | None
    ) -> NotifierCreated:
        target = body.target
        row_id = new_id()
        sealed, secret = None, None
        if isinstance(target, WebhookTarget):
            secret = PREFIX + secrets.token_urlsafe(32)
            sealed = self.vault.seal(json.dumps({"url": target.url, "secret": secret}), *_belongs(project.id, row_id))
            shown = masked(target.url)
        else:
            shown = ", ".join(dict.fromkeys(target.to))
        with self.context.change(principal) as change:
            change.require_live(project)
            names = set(change.session.scalars(select(Notifier.name).where(Notifier.project_id == project.id)))
            if body.name in names:
                raise Conflict(
                    f"{project.slug} has a notifier {body.name} already.",
                    hint=f"Choose another name, or: himalia notification remove {body.name} --project {project.slug}",
                )
            if len(names) >= MOST:
                raise Conflict(f"{project.slug} has {MOST} notifiers, and cannot have more.", hint="Remove some.")
            row = Notifier(
                id=row_id,
                project_id=project.id,
                name=body.name,
                kind=target.kind,
                target=shown,
                sealed=sealed,
                created_by=principal.user,
                created_at=self.now(),
            )
            change.session.add(row)
            change.session.flush()
            change.made(once, row_id)
            change.audit("notifier.create", project, body.name, kind=target.kind, target=shown)
            change.event("notifier.created", body.name, {"kind": target.kind}, project)
            return NotifierCreated(**_view(change.session, row).model_dump(), secret=secret)

    def made(self, row_id: str) -> NotifierCreated:
        """The notifier that an earlier request has made; its secret is not shown again.

        Raises:
            NotFound: it was removed since.
        """
        with self.context.database.read() as session:
            row = session.get(Notifier, row_id)
            if row is None:
                raise NotFound("The notifier that this request had made was removed since.")
            return NotifierCreated(**_view(session, row).model_dump(), secret=None)

    def remove(self, principal: Principal, project: Project, name: str) -> None:
        """Tell it no more; what is on its way is dropped."""
        with self.context.change(principal) as change:
            row = _row(change.session, project, name)
            change.session.query(Delivery).where(Delivery.notifier_id == row.id).delete(synchronize_session=False)
            change.session.delete(row)
            change.audit("notifier.delete", project, name)
            change.event("notifier.deleted", name, {}, project)

    def test(self, principal: Principal, project: Project, name: str) -> Tested:
        """Send something now, and say whether it arrived."""
        with self.context.database.read() as session:
            row = _row(session, project, name)
        text = f"{principal.user} tests the notifier {name} of {project.slug}. If you read this, it works."
        body = {"title": f"a test of {name}", "text": text, "project": project.slug}
        error = None
        try:
            self._send(row, Parcel(new_id(), {"kind": "test", "at": self.now(), **body}))
        except Undelivered as why:
            error = str(why)
        with self.context.change(principal) as change:
            change.audit("notifier.test", project, name, delivered=error is None, error=error)
        return Tested(delivered=error is None, error=error)

    def notices(
        self, principal: Principal, project: Project, unread: bool, cursor: str | None, limit: int
    ) -> tuple[list[NoticeView], int, str | None]:
        """Notices, newest first; how many are unread; and where to go on."""
        query = select(Notice).where(Notice.project_id == project.id).order_by(Notice.id.desc())
        with self.context.database.read() as session:
            newest = list(session.scalars(query.limit(COUNTED)))
            count = sum(principal.user not in row.read_by for row in newest)
            if unread:
                rows = [row for row in newest if principal.user not in row.read_by and (not cursor or row.id < cursor)]
            else:
                rows = list(session.scalars((query.where(Notice.id < cursor) if cursor else query).limit(limit + 1)))
        views = [_notice(row, principal.user) for row in rows[:limit]]
        return views, count, rows[limit - 1].id if len(rows) > limit else None

    def read(self, principal: Principal, project: Project, until: str, *, only: bool = False) -> None:
        """Mark notices up to one, and itself, as read; *only*: itself alone."""
        with self.context.change(principal) as change:
            query = (
                select(Notice)
                .where(Notice.project_id == project.id, Notice.id == until if only else Notice.id <= until)
                .order_by(Notice.id.desc())
                .limit(COUNTED)
            )
            for row in change.session.scalars(query):
                if principal.user not in row.read_by:
                    row.read_by = [*row.read_by, principal.user]
            change.event("notice.read", until, {"by": principal.user}, project)

    def tidy(self) -> None:
        """Forget old notices, but those that are still on their way."""
        going = select(Delivery.notice_id).where(Delivery.next_at.is_not(None))
        with self.context.database.write() as session:
            old = session.query(Notice).where(Notice.created_at < self.now() - KEPT_SECONDS, Notice.id.not_in(going))
            for row in old.limit(COUNTED):
                session.query(Delivery).where(Delivery.notice_id == row.id).delete(synchronize_session=False)
                session.delete(row)

    @staticmethod
    def _failing(session: Session, schedule: Schedule) -> bool:
        """Whether the last that was told of the schedule is a failure."""
        last = session.scalar(
            select(Notice)
            .where(Notice.project_id == schedule.project_id, Notice.schedule == schedule.name)
            .order_by(Notice.id.desc())
            .limit(1)
        )
        # not of another one that had the same name
        return last is not None and last.kind == "failure" and last.body.get("schedule_id") == schedule.id

    def _add(
        self,
        session: Session,
        project: Project,
        kind: str,
        body: dict[str, object],
        schedule: Schedule,
        run_id: str | None,
    ) -> None:
        now = self.now()
        notice = Notice(
            project_id=project.id,
            kind=kind,
            run_id=run_id,
            schedule=schedule.name,
            body=body,
            read_by=[],
            created_at=now,
        )
        session.add(notice)
        session.flush()
        for notifier_id in session.scalars(select(Notifier.id).where(Notifier.project_id == project.id)):
            session.add(Delivery(notice_id=notice.id, notifier_id=notifier_id, attempts=0, next_at=now))
        data = {"kind": kind, "schedule": schedule.name, "run": run_id, "text": body["title"], "link": body["link"]}
        self.context.events.add(session, "notice.created", notice.id, data, project)
        self.outbox.wake()

    def _send(self, row: Notifier, parcel: Parcel) -> None:
        if row.kind == "email":
            mail(self.context.settings, row.target.split(", "), parcel, self.context.site.id)
            return
        try:
            opened = json.loads(self.vault.open(row.sealed or b"", *_belongs(row.project_id, row.id)))
        except Problem as problem:
            raise Undelivered(f"{problem.detail} Remove the notifier, and add it again.") from problem
        post(opened["url"], opened["secret"], parcel, self.now())


def _belongs(project_id: str, row_id: str) -> tuple[str, ...]:
    return "notifier", project_id, row_id


def sealed_rows(session: Session) -> list[tuple[Notifier, tuple[str, ...]]]:
    """What the vault seals anew when its key is changed."""
    rows = session.scalars(select(Notifier).where(Notifier.sealed.is_not(None)))
    return [(row, _belongs(row.project_id, row.id)) for row in rows]


def _row(session: Session, project: Project, name: str) -> Notifier:
    row = session.scalar(select(Notifier).where(Notifier.project_id == project.id, Notifier.name == name))
    if row is None:
        known = session.scalars(select(Notifier.name).where(Notifier.project_id == project.id))
        raise NotFound(f"{project.slug} has no notifier {name!r}.", hint=nearest(name, known))
    return row


def _view(session: Session, row: Notifier) -> NotifierView:
    of_it = select(Delivery).where(Delivery.notifier_id == row.id)
    last = session.scalar(of_it.where(Delivery.attempts > 0).order_by(Delivery.id.desc()).limit(1))
    arrived = select(func.max(Delivery.delivered_at)).where(Delivery.notifier_id == row.id)
    pending = select(func.count()).select_from(Delivery)
    pending = pending.where(Delivery.notifier_id == row.id, Delivery.next_at.is_not(None))
    return NotifierView(
        name=row.name,
        kind=row.kind,
        target=row.target,
        created_by=row.created_by,
        created_at=row.created_at,
        last_delivered_at=session.scalar(arrived),
        pending=session.scalar(pending) or 0,
        problem=last.error if last is not None else None,
    )


def _notice(row: Notice, user: str) -> NoticeView:
    body = row.body
    return NoticeView(
        id=row.id,
        kind=row.kind,
        created_at=row.created_at,
        read=user in row.read_by,
        text=body["text"],
        project=body["project"],
        schedule=row.schedule,
        run=row.run_id,
        status=body.get("status"),
        stage=body.get("stage"),
        cell=body.get("cell"),
        error=body.get("error"),
        link=body.get("link"),
    )
