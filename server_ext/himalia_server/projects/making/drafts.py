"""New projects: the folder is filled aside and appears whole, then the site knows of it; a kill in between leaves
either nothing or the whole project.

What is begun is written down first (`making/` in the site's folder), so that the next service takes back what was
only half filled, and goes on with what was whole.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...service.auth import Principal
from ...service.context import Context
from ...service.logs import request_id
from ...service.once import Once, Repeated
from ...service.problems import Forbidden, Invalid, Problem, StorageFull
from ...service.site import private_folder, write_private
from ...store import Member, Project, now
from ...store.schema import new_id
from ...team import Role
from ..folders import Mark, Places, free_name, read_mark, require_name, try_mark, unmark
from ..manifest import NAME, read_manifest
from .filling import Fill, set_name, write_minimal

log = logging.getLogger(__name__)
TELL_SECONDS = 1.0
"""Between two events that tell how far it is."""


@dataclass(frozen=True)
class Plan:
    """What is being made. `draft`: the folder that is filled; None: the target is there already."""

    project: str
    name: str
    user: str
    target: str
    draft: str | None
    detail: dict[str, Any]
    once: dict[str, str] | None


class Making:
    """Makes projects. *written* is called with each that is new."""

    def __init__(self, context: Context, places: Places, written: Callable[[Project], None]) -> None:
        self.context, self.places, self.written = context, places, written
        self._deciding = threading.Lock()
        self._names: dict[str, threading.Lock] = {}
        self._active: set[str] = set()

    def make(
        self,
        principal: Principal,
        name: str | None,
        path: str | None,
        once: Once | None,
        *,
        like: str,
        fill: Fill | None,
        detail: dict[str, Any],
        renamed: bool = True,
    ) -> Project:
        """Make a project from what *fill* puts into its folder; without it, of the folder *path*.

        Without a *name* it gets a free one *like* that. *renamed*: its manifest says the name.

        Raises:
            Forbidden, Invalid, Conflict, ManifestFault, Repeated: see the texts; nothing is left of it.
        """
        require_person(principal)
        if name is None:
            if once is not None:
                once.require_new(self.context)
            name = free_name(like, self.places.taken)
        else:
            require_name(name)
        with self._alone(name):
            if once is not None:
                once.require_new(self.context)
            self.recover()
            target = self.places.folder(name, path)
            self.places.refuse_taken(principal, name, target)
            plan = Plan(new_id(), name, principal.user, str(target), None, detail, vars(once) if once else None)
            try:
                if fill is None:
                    project = self._adopt(principal, plan, once)
                else:
                    project = self._fill(principal, plan, fill, once, renamed=renamed)
                self.written(project)
                return project
            except (OSError, ValueError) as error:
                # that of a whole tree holds those of its files as texts
                codes = (errno.ENOSPC, errno.EDQUOT)
                many = isinstance(error, shutil.Error) and any(os.strerror(code) in str(error) for code in codes)
                if many or getattr(error, "errno", None) in codes:
                    raise self._full(target) from error
                raise Invalid(
                    f"The folder of the project cannot be used: {error}",
                    hint="Look at the rights of the folder above it, or choose another place.",
                    field="path",
                ) from error

    def _full(self, target: Path) -> StorageFull:
        """Which of the disks is full: that of the new folder, or the site's."""
        above = next(folder for folder in target.parents if folder.is_dir())
        place = min(above, self.context.site.home, key=lambda folder: shutil.disk_usage(folder).free)
        return StorageFull(
            f"There is no space left on the disk that holds {place}.",
            hint="Free some space and try again, or choose another place.",
        )

    def _fill(self, principal: Principal, plan: Plan, fill: Fill, once: Once | None, *, renamed: bool) -> Project:
        target = Path(plan.target)
        _refuse_file(target)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise Invalid(
                f"The folder {target} exists already and is not empty.",
                hint="Choose another folder, or make it a project as it is: leave the source out.",
                field="path",
            )
        draft = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}")
        plan = replace(plan, draft=str(draft))
        with self._written_down(plan), _folders(target.parent):
            try:
                fill(draft, _Teller(self.context))
                if not write_minimal(draft, plan.name) and renamed:
                    set_name(draft, plan.name)
                    read_manifest(draft)
                try_mark(draft, Mark(self.context.site.id, plan.project))
                with self._deciding:
                    self.places.refuse_taken(principal, plan.name, target)
                    if target.exists():
                        target.rmdir()
                    draft.replace(target)
                    try:
                        return self._register(principal, plan, once)
                    except BaseException:
                        if not self._known(plan):  # else only what follows the commit has failed
                            target.replace(draft)
                        raise
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise

    def _adopt(self, principal: Principal, plan: Plan, once: Once | None) -> Project:
        """Make a project of a folder as it is."""
        target = Path(plan.target)
        _refuse_file(target)
        if not target.is_dir():
            raise Invalid(
                f"The folder {target} does not exist.",
                hint="Name a template or a git repository to make it.",
                field="path",
            )
        before = read_mark(target)
        with self._written_down(plan):
            made = write_minimal(target, plan.name)
            try:
                read_manifest(target)
                try_mark(target, Mark(self.context.site.id, plan.project))
                with self._deciding:
                    self.places.refuse_taken(principal, plan.name, target)
                    return self._register(principal, plan, once)
            except BaseException:
                if self._known(plan):
                    raise
                if before is not None:
                    try_mark(target, before)
                else:
                    unmark(target)
                if made:
                    (target / NAME).unlink(missing_ok=True)
                raise

    def _register(self, principal: Principal, plan: Plan, once: Once | None) -> Project:
        with self.context.change(principal) as change:
            project = Project(
                id=plan.project,
                slug=plan.name,
                path=plan.target,
                python=sys.executable,
                kernelspec=f"himalia-{self.context.site.id}-{plan.name}",
                created_by=plan.user,
            )
            change.session.add(project)
            change.session.flush()
            change.made(once, project.slug)
            change.session.add(Member(project_id=project.id, user=plan.user, role=Role.OWNER))
            change.audit("project.create", project, plan.name, path=plan.target, **plan.detail)
            change.event("project.created", plan.name, {"path": plan.target}, project)
        return project

    def _known(self, plan: Plan) -> bool:
        with self.context.database.read() as session:
            return session.get(Project, plan.project) is not None

    def recover(self) -> None:
        """Go on with, or take back, what a service that was killed had begun."""
        folder = self.context.site.home / "making"
        for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            try:
                plan = Plan(**json.loads(file.read_text()))
            except (OSError, ValueError, TypeError):
                log.exception("what was being made cannot be read")
                file.unlink(missing_ok=True)
                continue
            with self._deciding:
                if plan.project in self._active or not file.exists():
                    continue
                self._finish(plan)
                file.unlink(missing_ok=True)

    def _finish(self, plan: Plan) -> None:
        mark = read_mark(Path(plan.target))
        if not self._known(plan) and mark is not None and mark.project == plan.project:
            principal = Principal(plan.user, "user", None, "", None, None, None, None)
            once = Once(**plan.once) if plan.once else None
            try:
                self.places.refuse_taken(principal, plan.name, Path(plan.target))
                self.written(self._register(principal, plan, once))
            except (Problem, Repeated):
                log.exception("a project that was being made cannot be finished", extra={"project": plan.name})
        if plan.draft is not None:
            shutil.rmtree(plan.draft, ignore_errors=True)

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One at a time makes a project of that name."""
        with self._deciding:
            lock = self._names.setdefault(name, threading.Lock())
        with lock:
            yield

    @contextmanager
    def _written_down(self, plan: Plan) -> Iterator[None]:
        file = private_folder(self.context.site.home / "making") / f"{plan.project}.json"
        self._active.add(plan.project)
        write_private(file, json.dumps(vars(plan)))
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            self._active.discard(plan.project)


class _Teller:
    """Tells how far it is, in events that name nothing but the request, since others see them too."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._last = 0.0

    def __call__(self, step: str, percent: int | None) -> None:
        if now() - self._last < TELL_SECONDS:
            return
        self._last = now()
        with self.context.change() as change:
            change.event("project.making", request_id.get(), {"step": step, "percent": percent})


@contextmanager
def _folders(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; taken away again when what follows fails."""
    made = []
    above = folder
    while not above.exists():
        made.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in made:
            try:
                path.rmdir()
            except OSError:
                break
        raise


def _refuse_file(target: Path) -> None:
    """Refuse what is there and is no folder.

    Raises:
        Invalid: it is.
    """
    if target.exists() and not target.is_dir():
        raise Invalid(
            f"{target} is a file; a project is a folder.",
            hint=f"Name the folder that it lies in ({target.parent}), or another one.",
            field="path",
        )


def require_person(principal: Principal) -> None:
    """Refuse kernels, stages and guests.

    Raises:
        Forbidden: it is one of them.
    """
    if principal.purpose != "user":
        raise Forbidden(
            "Projects are made by the account that owns the site, not by a kernel, a stage or a guest of its Jupyter "
            "server.",
            hint="Use your own JupyterLab, or the himalia command.",
        )
