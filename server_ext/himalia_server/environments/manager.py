"""The logic of the room: what a project asks for, what it has, and how it comes from the one to the other."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..projects import SHARED, SITE, EnvironmentGrant, Projects, Used
from ..service.auth import Principal
from ..service.context import Change, Context
from ..service.once import Once
from ..service.problems import Conflict, Problem
from ..service.site import private_folder
from ..store import Build, Environment, Project, now
from .build import Built, key_of, read_marker
from .follow import Followers, child_name
from .models import BuildAnswer, EnvironmentView
from .reading import EnvironmentReader
from .site_packages import find_python
from .source import Source, read_lock
from .status import Status, builds_of, name_of, note_for, outdated_kernels, tried

log = logging.getLogger(__name__)


class Environments:
    """Builds, hands out and shares environments. Thread-safe."""

    def __init__(self, context: Context, projects: Projects, clock: Callable[[], float] = now) -> None:
        self.context, self.projects, self.clock = context, projects, clock
        self.reader = EnvironmentReader(context, projects)
        self.root = private_folder(context.site.home / "environments")
        self.lock = threading.RLock()
        """Held while an environment is given to a project, or taken from the disk."""
        self.followers = Followers(context, self.root, self._ended)
        projects.kernels.environment_of = self.for_kernel
        projects.kernels.environment_for_run = self.for_run

    def build(
        self,
        principal: Principal | None,
        project: Project,
        name: str | None = None,
        *,
        upgrade: bool = False,
        once: Once | None = None,
    ) -> BuildAnswer:
        """Have the project's environment *name*, or its own, built, when it is not what is asked for.

        Raises:
            ManifestFault, SourceFault: what is asked for cannot be known. Conflict: the project is being deleted.
            NotFound: it has no environment *name*.
        """
        with self.lock:
            source = self.reader.wanted(project, name)
            status = self.reader.status(project, name)
            result: Literal["unchanged", "running", "switched", "started"]
            if source is None:
                result = "unchanged" if status.used is None else "switched"
                if name is None:
                    self._give(project, None, None)
            elif status.last is not None and status.last.state == "building" and status.last.source == source.digest:
                result = "running"
            elif status.state == "ready" and not upgrade:
                result = "unchanged"
            else:
                found = None if upgrade else self._existing(project, source)
                if found is not None:
                    self._adopt(principal, project, name, source, found, once)
                    result = "switched"
                else:
                    if status.last is not None and status.last.state == "building":
                        self._cancel(principal, project, status.last.id)
                    self._start(principal, project, name, source, upgrade, once)
                    result = "started"
        return BuildAnswer(result=result, environment=self.reader.view(project, name))

    def _existing(self, project: Project, source: Source) -> Environment | None:
        """The environment of the project's own lock, when it is on the disk already."""
        lock = read_lock(Path(project.path), source.lock)
        if lock is None or lock.source != source.digest:
            return None
        with self.context.database.read() as session:
            for row in session.scalars(select(Environment).where(Environment.lock == lock.digest)):
                built = read_marker(Path(row.folder))
                if built is None or (source.python or "") not in built.version or built.overlay != source.overlay:
                    continue
                own = find_python(None, "", {}) if source.python is None else (built.base, built.version)
                if own is not None and key_of(lock.digest, source, own) == row.key:
                    return row
        return None

    def _start(
        self,
        principal: Principal | None,
        project: Project,
        name: str | None,
        source: Source,
        upgrade: bool,
        once: Once | None,
    ) -> None:
        with self.context.change(principal) as change:
            change.require_live(project)
            row = self._row(change, principal, project, name, source)
            row.step = "starting"
            change.made(once, row.id)
            change.audit("environment.build", project, row.id, source=source.path, upgrade=upgrade)
            data = {"state": "building", "environment": name, "step": row.step}
            change.event("environment.building", row.id, data, project)
        self.followers.begin(row, project, source, upgrade)

    def _adopt(
        self,
        principal: Principal | None,
        project: Project,
        name: str | None,
        source: Source,
        found: Environment,
        once: Once | None,
    ) -> None:
        """Use an environment that is there; written down as a build that took no time."""
        with self.context.change(principal) as change:
            change.require_live(project)
            row = self._row(change, principal, project, name, source)
            row.state, row.environment_id, row.ended_at = "ready", found.id, row.created_at
            change.made(once, row.id)
            change.audit("environment.build", project, row.id, source=source.path, environment=found.key)
            if name is not None:
                change.event("environment.ready", row.id, _ready(name, found, []), project)
        if name is None:
            self._give(project, found, row.id)

    @staticmethod
    def _row(change: Change, principal: Principal | None, project: Project, name: str | None, source: Source) -> Build:
        row = Build(
            project_id=project.id,
            name=name,
            state="building",
            source=source.digest,
            created_by=principal.user if principal else "himalia",
            created_at=now(),
        )
        change.session.add(row)
        change.session.flush()
        return row

    def _ended(self, build_id: str, built: Built | None, error: str | None, package: str | None) -> None:
        """A build has ended: well when there is *built*."""
        switched = None
        with self.lock:
            with self.context.change() as change:
                row = change.session.get(Build, build_id)
                if row is None or row.state != "building":
                    return
                project = change.session.get_one(Project, row.project_id)
                row.step, row.ended_at = None, max(now(), row.created_at)
                if built is None:
                    row.state, row.error, row.package = "failed", error, package and package[:200]
                    data = {"state": "failed", "environment": row.name, "error": error, "package": row.package}
                    change.event("environment.failed", build_id, data, project)
                else:
                    environment = self._register(change.session, built)
                    row.state, row.environment_id = "ready", environment.id
                    if row.name is None:
                        self._switch(change, project, environment, build_id)
                        switched = project
                    else:
                        change.event("environment.ready", build_id, _ready(row.name, environment, []), project)
            if switched is not None:
                self.projects.try_kernelspec(switched)

    def _register(self, session: Session, built: Built) -> Environment:
        row = session.scalar(select(Environment).where(Environment.key == built.key))
        if row is None:
            row = Environment(
                key=built.key, lock=built.lock, folder=built.folder, python=built.python, overlay=built.overlay
            )
            session.add(row)
        row.packages, row.bytes, row.used_at = built.packages, built.bytes, self.clock()
        session.flush()
        return row

    def _give(self, project: Project, environment: Environment | None, build_id: str | None) -> None:
        """Have a project use an environment (None: the site's own), and its kernelspec say so."""
        python = environment.python if environment else sys.executable
        with self.lock, self.context.change() as change:
            row = change.session.get(Project, project.id)
            if row is None:
                return
            if environment is None and row.environment_id is None and row.python == python:
                return
            self._switch(change, row, environment, build_id)
        project.python, project.environment_id = python, environment.id if environment else None
        self.projects.try_kernelspec(project)

    def _switch(self, change: Change, project: Project, environment: Environment | None, build_id: str | None) -> None:
        project.python = environment.python if environment else sys.executable
        project.environment_id = environment.id if environment else None
        kernels = outdated_kernels(change.session, project, environment)
        change.event("environment.ready", build_id, _ready(None, environment, kernels), project)

    def cancel(self, principal: Principal, project: Project, name: str | None = None) -> EnvironmentView:
        """Stop the build that runs, of its environment *name* or its own.

        Raises:
            Conflict: none does.
        """
        with self.lock:
            last = self.reader.status(project, name).last
            if last is None or last.state != "building":
                which = f"The environment {name}" if name else "No environment"
                raise Conflict(
                    f"{which} of {project.slug} is {'not ' if name else ''}being built.",
                    hint="There is nothing to stop.",
                )
            self._cancel(principal, project, last.id)
        return self.reader.view(project, name)

    def _cancel(self, principal: Principal | None, project: Project, build_id: str) -> None:
        with self.context.change(principal) as change:
            row = change.session.get_one(Build, build_id)
            row.state, row.step, row.ended_at = "cancelled", None, max(now(), row.created_at)
            row.error = f"{principal.user if principal else 'himalia'} stopped it"
            change.audit("environment.cancel", project, build_id)
            data = {"state": "cancelled", "environment": row.name}
            change.event("environment.cancelled", build_id, data, project)
        self.context.children.stop(child_name(build_id))

    def repeated(self, project: Project, name: str | None = None) -> BuildAnswer:
        """The answer to a request that was answered before."""
        view = self.reader.view(project, name)
        return BuildAnswer(result="running" if view.state == "building" else "unchanged", environment=view)

    def for_kernel(self, project: Project, name: str | None = None) -> Used:
        """What a kernel that starts now runs in; it never waits. A first build is begun by it.

        Of another environment than the project's own, *name*, it only tells.
        """
        if name == SITE:
            return Used(sys.executable, SHARED)
        status = self.reader.status(project, name)
        if name is not None:
            return self._used(status)
        if status.source is None and status.used is not None and status.state == "shared":
            self._give(project, None, None)
            status = self.reader.status(project)
        elif status.state == "none" and status.source is not None and not tried(status):
            try:
                self.build(None, project)
                status = self.reader.status(project)
            except (Problem, OSError, RuntimeError) as error:
                log.warning("an environment cannot be built now", exc_info=error, extra={"project": project.slug})
        return self._used(status, note=note_for(project, status))

    def for_run(self, project: Project, name: str | None = None, *, begun: bool = False) -> Used:
        """What a run that starts now, or a stage of it that asks for *name*, runs in: what is asked for, nothing else.

        *begun*: the run waits already, so that it does not build again what somebody stopped.
        """
        if name == SITE:
            return Used(sys.executable, SHARED)
        status = self.reader.status(project, name)
        which = f"environment {name}" if name else "environment"
        stopped = status.last is not None and status.last.state == "cancelled" and tried(status)
        if status.state in ("none", "outdated") and not (begun and stopped):
            try:
                self.build(None, project, name)
            except Problem as problem:
                return self._used(status, refused=problem.detail)
            status = self.reader.status(project, name)
        if status.state in ("ready", "shared"):
            if status.state == "shared" and status.used is not None:
                self._give(project, None, None)
                status = self.reader.status(project)
            return self._used(status)
        if status.state == "building" and status.last is not None:
            step = f" ({status.last.step})" if status.last.step else ""
            return self._used(status, waiting=f"waiting because the {which} is being built{step}")
        why = status.error or (status.last.error if status.last else None) or "it was not built"
        return self._used(status, refused=f"The {which} of {project.slug} could not be built: {why}")

    @staticmethod
    def _used(status: Status, note: str | None = None, waiting: str | None = None, refused: str | None = None) -> Used:
        used = status.used
        if used is None or not os.access(used.python, os.X_OK):
            return Used(sys.executable, SHARED, note, waiting, refused)
        grant = EnvironmentGrant(digest=used.lock, name=name_of(used, status.source))
        return Used(used.python, grant, note, waiting, refused, used.overlay)

    def resume(self) -> None:
        """Go on with builds that a service before this one began; forget environments that are gone."""
        private_folder(self.root)
        with self.context.database.read() as session:
            environments = list(session.scalars(select(Environment)))
        for environment in environments:
            if read_marker(Path(environment.folder)) is None:
                self._lost(environment)
        self.repair()

    def _lost(self, environment: Environment) -> None:
        with self.context.database.read() as session:
            projects = list(session.scalars(select(Project).where(Project.environment_id == environment.id)))
        for project in projects:
            self._give(project, None, None)
        with self.context.change() as change:
            row = change.session.get(Environment, environment.id)
            if row is not None:
                change.session.delete(row)

    def repair(self) -> None:
        """Follow builds that nobody follows."""
        with self.context.database.read() as session:
            rows = list(session.scalars(select(Build).where(Build.state == "building")))
        for row in rows:
            self.followers.follow(row.id)

    def stop_all(self, project: Project) -> None:
        """Stop what is built for a project (it comes to rest); what was there before stays."""
        with self.lock:
            with self.context.database.read() as session:
                rows = list(session.scalars(builds_of(project).where(Build.state == "building")))
            for row in rows:
                self._cancel(None, project, row.id)

    def end_all(self, project: Project) -> None:
        """Stop what is built for a project, and forget it (it is being deleted)."""
        with self.context.database.read() as session:
            rows = list(session.scalars(builds_of(project)))
        for row in rows:
            if row.state == "building":
                self._cancel(None, project, row.id)
            self.followers.forget(row.id)
            self.context.site.log(child_name(row.id)).unlink(missing_ok=True)


def _ready(name: str | None, environment: Environment | None, kernels: list[str]) -> dict[str, Any]:
    digest = environment.lock if environment else SHARED.digest
    return {"state": "ready", "environment": name, "digest": digest, "kernels_outdated": kernels}
