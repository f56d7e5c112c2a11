"""Archive, trash, restore, purge. What is meant is committed first, so that a service that was killed in the middle
goes on where it was.

`Project.deleting` says what goes on: "trash" (its folder is put aside), "restore" (it is put back), "keep" and
"remove" (it is purged, without or with its folder). Otherwise a project rests when `archived_at` or `trashed_at` is
set: nothing runs in it.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import ColumnElement, exists, or_, select

from ...service import tokens
from ...service.auth import Principal
from ...service.context import Context
from ...service.journal import MEMBERS
from ...service.problems import Conflict
from ...store import Cluster, Kernel, Member, Project, Run, Token, now
from ..folders import Mark, Places, read_mark
from ..manifest import NAME

log = logging.getLogger(__name__)
DAY = 86400.0
TRASH_DAYS = 30
Hook = Callable[[Project], None]


class Lifecycle:
    """The logic. Other rooms end what is theirs (`on_rest`), begin it again (`on_wake`), may refuse a purge
    (`before_purge`) and forget a project (`on_purge`); `on_hide` and `on_show` are for its kernelspec."""

    def __init__(self, context: Context, places: Places, clock: Callable[[], float] = now) -> None:
        self.context, self.places, self.clock = context, places, clock
        self.on_rest: list[Hook] = []
        self.on_wake: list[Hook] = []
        self.before_purge: list[Hook] = []
        self.on_purge: list[Hook] = []
        self.on_hide: list[Hook] = []
        self.on_show: list[Hook] = []
        self._choosing = threading.Lock()
        self._busy: set[str] = set()

    def archive(self, principal: Principal, project: Project) -> None:
        """Stop what runs in a project and hide it. Repeated, it does nothing more.

        Raises:
            Conflict: it is being changed by somebody else.
        """
        with self._alone(project):
            with self.context.change(principal) as change:
                row = change.session.get_one(Project, project.id, populate_existing=True)
                if row.archived_at is None:
                    row.archived_at = self.clock()
                    change.audit("project.archive", project, project.slug)
                    change.event("project.archived", project.slug, {}, project)
            self._rest(project)

    def unarchive(self, principal: Principal, project: Project) -> None:
        """Bring an archived project back, with its endpoints; clusters and runs are started by whoever wants them."""
        with self._alone(project):
            with self.context.change(principal) as change:
                row = change.session.get_one(Project, project.id, populate_existing=True)
                if row.archived_at is not None:
                    row.archived_at = None
                    change.audit("project.unarchive", project, project.slug)
                    change.event("project.unarchived", project.slug, {}, project)
            self._wake(project)

    def trash(self, principal: Principal, project: Project, *, remove_files: bool) -> None:
        """Delete a project so that it can be restored for `TRASH_DAYS`. Its folder is put aside on request.

        Raises:
            Conflict: what lies at the place of its folder is not its folder.
        """
        with self._alone(project):
            if remove_files:
                self._require_own(project)
            with self.context.change(principal) as change:
                row = change.session.get_one(Project, project.id, populate_existing=True)
                if row.trashed_at is None:
                    row.trashed_at, row.deleting = self.clock(), "trash"
                    if remove_files and not self.places.forbidden(Path(row.path)):
                        row.trash = str(aside(Path(row.path), row.id))
                    change.audit("project.delete", project, project.slug, remove_files=remove_files)
                    change.event("project.trashed", project.slug, {"days": TRASH_DAYS}, project)
            self._trash(project)

    def _trash(self, project: Project) -> None:
        self._rest(project)
        row = self._row(project)
        if row is None:
            return
        kept = row.trash
        if row.trash is not None and Path(row.path).is_dir() and not Path(row.trash).exists():
            try:
                self._require_own(row)
                Path(row.path).rename(row.trash)
            except (OSError, Conflict) as error:  # a mount, or a folder above that is not ours to change
                log.warning("a deleted project's folder stays where it is: %s", error, extra={"project": row.slug})
                kept = None
        with self.context.change() as change:
            done = change.session.get_one(Project, project.id, populate_existing=True)
            done.deleting, done.trash = None, kept

    def restore(self, principal: Principal, project: Project) -> None:
        """Bring a deleted project back as it was, an archived one as an archived one.

        Raises:
            Conflict: something is in the place of its folder.
        """
        with self._alone(project):
            row = self._row(project)
            if row is None or row.trashed_at is None:
                raise Conflict(f"The project {project.slug} is not in the trash.", hint="There is nothing to restore.")
            if row.trash is not None and Path(row.trash).exists() and Path(row.path).exists():
                raise Conflict(
                    f"The folder of {project.slug} cannot be put back: there is something at {row.path} now.",
                    hint=f"Move that away, then restore again; the project's files are in {row.trash}.",
                )
            with self.context.change(principal) as change:
                change.session.get_one(Project, project.id, populate_existing=True).deleting = "restore"
                change.audit("project.restore", project, project.slug)
            self._restore(project)

    def _restore(self, project: Project) -> None:
        row = self._row(project)
        if row is None:
            return
        if row.trash is not None and Path(row.trash).is_dir() and not Path(row.path).exists():
            Path(row.trash).rename(row.path)
        with self.context.change() as change:
            kept = change.session.get_one(Project, project.id, populate_existing=True)
            kept.trashed_at = kept.trash = kept.deleting = None
            change.event("project.restored", project.slug, {"archived": kept.archived_at is not None}, project)
        if row.archived_at is None:
            self._wake(project)

    def purge(self, principal: Principal | None, project: Project, *, remove_files: bool) -> None:
        """Remove a project for good, with its runs, models, endpoints, clusters and secrets; its folder when that was
        put aside already, or on request.

        Raises:
            Unavailable: MLflow does not answer; nothing was removed yet, or the rest is removed later.
            Conflict: what lies at the place of its folder is not its folder.
        """
        with self._alone(project):
            if remove_files and project.trash is None:
                self._require_own(project)
            for check in self.before_purge:
                check(project)
            with self.context.change(principal) as change:
                row = change.session.get(Project, project.id, populate_existing=True)
                if row is None:
                    return
                if remove_files and row.trash is None and not self.places.forbidden(Path(row.path)):
                    row.trash = str(aside(Path(row.path), row.id))
                row.deleting = "remove" if row.trash is not None else "keep"
                change.audit("project.purge", project, project.slug, remove_files=row.trash is not None)
                change.event("project.deleting", project.slug, {}, project)
            self._purge(project)

    def _purge(self, project: Project) -> None:
        for hook in (*self.on_purge, *self.on_hide):
            hook(project)
        row = self._row(project)
        if row is None:
            return
        if row.trash is not None and row.deleting == "remove":
            if row.trashed_at is None and not Path(row.trash).exists() and self._own(row):
                with suppress(OSError):  # a mount, say: then what is in it is removed where it is
                    Path(row.path).rename(row.trash)
                if not Path(row.trash).exists():
                    shutil.rmtree(row.path)
            if Path(row.trash).is_dir():
                shutil.rmtree(row.trash)
        with self.context.change() as change:
            gone = change.session.get(Project, project.id, populate_existing=True)
            if gone is None:
                return
            tokens.revoke_all(change.session, project_id=project.id)
            members = list(change.session.scalars(select(Member.user).where(Member.project_id == project.id)))
            change.session.delete(gone)
            change.event("project.deleted", project.slug, {MEMBERS: members}, project)

    def settle(self) -> None:
        """Go on with what a crash, or a part that did not answer, has interrupted; purge what is past its time.

        One that cannot be finished keeps no other from it.
        """
        with self.context.database.read() as session:
            begun = list(session.scalars(select(Project).where(Project.deleting.is_not(None))))
            late = Project.trashed_at < self.clock() - TRASH_DAYS * DAY
            due = list(session.scalars(select(Project).where(Project.deleting.is_(None), late)))
            resting = list(session.scalars(select(Project).where(_rests(), _restless())))
        for project in begun:
            self._guarded(project, self._go_on)
        for project in due:
            self._guarded(project, lambda project: self.purge(None, project, remove_files=False))
        for project in resting:
            self._guarded(project, self._rest_again)

    def _go_on(self, project: Project) -> None:
        with self._alone(project):
            row = self._row(project)
            if row is None or row.deleting is None:
                return
            if row.deleting in ("keep", "remove"):
                for check in self.before_purge:
                    check(project)
            {"trash": self._trash, "restore": self._restore}.get(row.deleting, self._purge)(project)

    def _rest_again(self, project: Project) -> None:
        with self._alone(project):
            row = self._row(project)
            if row is not None and (row.archived_at is not None or row.trashed_at is not None):
                self._rest(project)

    def _guarded(self, project: Project, step: Hook) -> None:
        if project.id in self._busy:
            return
        try:
            step(project)
        except Exception:
            log.exception("a project's change cannot be finished; it is tried again", extra={"project": project.slug})

    def _own(self, project: Project) -> bool:
        """Whether there is a folder at the project's place that is its own: a person may have moved it, and put
        something else there."""
        folder, mine = Path(project.path), Mark(self.context.site.id, project.id)
        mark = read_mark(folder)
        # one without a mark was cleaned by git, or could not be written
        return folder.is_dir() and (mark == mine or (mark is None and (folder / NAME).is_file()))

    def _require_own(self, project: Project) -> None:
        """Refuse to remove what is another project's, or nobody's.

        Raises:
            Conflict: it is.
        """
        if Path(project.path).exists() and not self._own(project):
            raise Conflict(
                f"The folder {project.path} is not that of {project.slug} any more, so it is not removed.",
                hint=f"Say where the project's folder is (himalia project move {project.slug} FOLDER), or delete the "
                "project and leave its files.",
                field="remove_files",
            )

    def _rest(self, project: Project) -> None:
        """End what runs in a project; its kernels live on without any right."""
        for hook in (*self.on_rest, *self.on_hide):
            hook(project)
        with self.context.change() as change:
            tokens.revoke_all(change.session, project_id=project.id)
            for kernel in list(change.session.scalars(select(Kernel).where(Kernel.project_id == project.id))):
                change.session.delete(kernel)

    def _wake(self, project: Project) -> None:
        row = self._row(project)
        if row is not None and row.archived_at is None and row.trashed_at is None:
            for hook in (*self.on_show, *self.on_wake):
                hook(row)

    def _row(self, project: Project) -> Project | None:
        with self.context.database.read() as session:
            return session.get(Project, project.id)

    @contextmanager
    def _alone(self, project: Project) -> Iterator[None]:
        """One such change of a project at a time.

        Raises:
            Conflict: another one goes on.
        """
        with self._choosing:
            if project.id in self._busy:
                raise Conflict(
                    f"The project {project.slug} is being archived, deleted or restored already.",
                    hint="Wait until that is done.",
                )
            self._busy.add(project.id)
        try:
            yield
        finally:
            self._busy.discard(project.id)


def aside(folder: Path, project_id: str) -> Path:
    """Where the folder of a deleted project is put: beside it, hidden, so that this is one renaming."""
    name = folder.name[:100]
    while len(os.fsencode(name)) > 200:  # of the 255 bytes that a name may have
        name = name[:-1]
    return folder.with_name(f".{name}.deleted-{project_id}")


def _rests() -> ColumnElement[bool]:
    return or_(Project.archived_at.is_not(None), Project.trashed_at.is_not(None))


def _restless() -> ColumnElement[bool]:
    """That something runs in a project, or may do something in it."""
    return or_(
        exists().where(Cluster.project_id == Project.id),
        exists().where(Run.project_id == Project.id, Run.ended_at.is_(None)),
        exists().where(Token.project_id == Project.id, Token.revoked_at.is_(None)),
    )
