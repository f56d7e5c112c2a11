"""What is known of a project's environments: what is asked for, what is there, and how it came to be."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from sqlalchemy import func, select

from ..projects import NAME, SHARED, KernelStartView, ManifestFault, Projects
from ..service.context import Context
from ..service.problems import NotFound, nearest
from ..store import Build, Project
from .build import read_marker
from .follow import child_name
from .models import BuildView, EnvironmentView, OtherEnvironment, PackageView
from .source import Source, lock_of, read_lock, read_source
from .status import Status, builds_of, name_of, outdated_kernels, read_status


class EnvironmentReader:
    """Reads; changes nothing. Thread-safe."""

    def __init__(self, context: Context, projects: Projects) -> None:
        self.context, self.projects = context, projects

    def status(self, project: Project, name: str | None = None) -> Status:
        """What the project asks for, against what it has: in its environment *name*, or in its own."""
        return read_status(self.context, project, lambda: self.wanted(project, name), name)

    def wanted(self, project: Project, name: str | None = None) -> Source | None:
        """What the project asks for; None: the site's own environment.

        Raises:
            ManifestFault, SourceFault: it cannot be known. NotFound: it has no environment *name*.
        """
        manifest = self.projects.kernels.manifest(project)
        table = manifest.environment_table(name)
        if table is None:
            raise NotFound(
                f"{NAME} of {project.slug} has no [environments.{name}].",
                hint=nearest(name or "", manifest.environments),
            )
        return read_source(Path(project.path), table, name)

    def names(self, project: Project) -> list[str]:
        """Of its environments beside its own.

        Raises:
            ManifestFault: they cannot be known.
        """
        return list(self.projects.kernels.manifest(project).environments)

    def view(self, project: Project, name: str | None = None) -> EnvironmentView:
        """For who may read the project.

        Raises:
            NotFound: it has no environment *name*.
        """
        if name is not None:
            self._require(project, name)
        status = self.status(project, name)
        used, source, last = status.used, status.source, status.last
        built = read_marker(Path(used.folder)) if used else None
        with self.context.database.read() as session:
            kernels = outdated_kernels(session, project, used) if name is None else []
            query = select(func.count()).select_from(Project)
            others = (
                session.scalar(query.where(Project.environment_id == used.id, Project.id != project.id)) if used else 0
            )
        chosen = f"?environment={name}" if name else ""
        failed = status.state == "failed" and last is not None and status.error == last.error
        return EnvironmentView(
            environment=name,
            state=status.state,
            source=source.path if source else None,
            kind=source.kind if source else None,
            digest=used.lock if used else SHARED.digest,
            name=name_of(used, source),
            python=built.version if built else platform.python_version(),
            interpreter=used.python if used else sys.executable,
            packages=used.packages if used else None,
            bytes=used.bytes if used else None,
            shared_with=others or 0,
            reason=status.reason,
            error=status.error,
            package=last.package if failed and last else None,
            notes=built.notes if built else [],
            build=build_view(last) if last else None,
            log=f"/api/v1/projects/{project.slug}/environment/log{chosen}" if last else None,
            kernels_outdated=kernels,
            start=self._start_view(project, used.python if used else sys.executable),
            others=self._others(project) if name is None else [],
        )

    def _require(self, project: Project, name: str) -> None:
        try:
            names = self.names(project)
        except ManifestFault:
            return  # told by `status`
        if name not in names:
            self.wanted(project, name)

    def _others(self, project: Project) -> list[OtherEnvironment]:
        try:
            states = {name: self.status(project, name) for name in self.names(project)}
        except ManifestFault:
            return []
        return [
            OtherEnvironment(
                name=name,
                state=status.state,
                source=status.source.path if status.source else None,
                problem=status.error or status.reason,
            )
            for name, status in states.items()
        ]

    def _start_view(self, project: Project, python: str) -> KernelStartView | None:
        try:
            return self.projects.kernels.start_view(project, python)
        except ManifestFault:
            return None  # the fault is told by `status`

    def packages(self, project: Project, name: str | None = None) -> list[PackageView]:
        """The lock of the project's environment *name*, or of its own.

        Raises:
            NotFound: it has none (yet), or no environment *name*.
        """
        if name is not None:
            self._require(project, name)
        lock = read_lock(Path(project.path), lock_of(name))
        if lock is None:
            table, chosen = ("environment", "") if name is None else (f"environments.{name}", f" -e {name}")
            raise NotFound(
                f"{project.slug} has no lock of its environment{f' {name}' if name else ''} (yet).",
                hint=f"himalia environment build{chosen} --project {project.slug}, if himalia.toml has [{table}].",
            )
        used = self.status(project, name).used
        built = read_marker(Path(used.folder)) if used else None
        python = built.version if built else platform.python_version()
        return [
            PackageView(name=entry.name, version=entry.version, marker=entry.marker, installed=entry.applies(python))
            for entry in lock.entries
        ]

    def log_of(self, project: Project, build_id: str | None, name: str | None = None) -> tuple[Path, str]:
        """The log of a build (None: of the last one of the environment *name*), and the build's id.

        Raises:
            NotFound: there is none.
        """
        with self.context.database.read() as session:
            last = builds_of(project).where(Build.name == name).limit(1)
            row = session.get(Build, build_id) if build_id else session.scalar(last)
        if row is None or row.project_id != project.id:
            raise NotFound(
                f"{project.slug} has no build {build_id!r}."
                if build_id
                else f"{project.slug} has built no environment.",
                hint=f"himalia environment show --project {project.slug}",
            )
        return self.context.site.log(child_name(row.id)), row.id

    def build_state(self, build_id: str) -> str | None:
        """The state of a build; None when there is none."""
        with self.context.database.read() as session:
            row = session.get(Build, build_id)
            return row.state if row else None


def build_view(row: Build) -> BuildView:
    """As it crosses the wire."""
    return BuildView(
        id=row.id,
        state=row.state,
        step=row.step,
        error=row.error,
        package=row.package,
        created_by=row.created_by,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
