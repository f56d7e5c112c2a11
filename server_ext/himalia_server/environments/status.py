"""What a project asks for, against what it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from ..projects import SHARED
from ..service.context import Context
from ..service.problems import Problem
from ..store import Build, Environment, Kernel, Project
from .build import key_of, read_marker
from .models import State
from .source import Source, read_lock


@dataclass(frozen=True)
class Status:
    """A project's environment as it is now."""

    state: State
    source: Source | None
    used: Environment | None
    last: Build | None
    reason: str | None = None
    error: str | None = None


def read_status(
    context: Context, project: Project, wanted: Callable[[], Source | None], name: str | None = None
) -> Status:
    """What the project asks for (*wanted*, which may raise a problem), against what it has; of its environment *name*,
    or of its own."""
    builds = builds_of(project).where(Build.name == name)
    with context.database.read() as session:
        last = session.scalar(builds.limit(1))
        made = session.scalar(builds.where(Build.state == "ready").limit(1))
        row = session.get(Project, project.id)
        key = row.environment_id if row and name is None else made.environment_id if made and name else None
        used = session.get(Environment, key) if key else None
    try:
        source = wanted()
    except Problem as problem:
        return Status("failed", None, used, last, error=f"{problem.detail} {problem.hint or ''}".strip())
    if source is None:
        return Status("shared", None, used, last)
    if last is not None and last.state == "building":
        return Status("building", source, used, last)
    reason = _outdated(project, source, used, made) if used else None
    if used is not None and reason is None:
        return Status("ready", source, used, last)
    if last is not None and last.state == "failed" and last.source == source.digest:
        return Status("failed", source, used, last, error=last.error)
    return Status("outdated" if used else "none", source, used, last, reason=reason)


def _outdated(project: Project, source: Source, used: Environment, made: Build | None) -> str | None:
    """Why the environment in use is not what is asked for; None when it is."""
    built = read_marker(Path(used.folder))
    if built is None:
        return "its files, or the Python below it, are gone"
    if made is None or made.source != source.digest or made.environment_id != used.id:
        return f"{source.path} or [{source.table}] in himalia.toml has changed since it was built"
    lock = read_lock(Path(project.path), source.lock)
    if lock is None or lock.source != source.digest:
        return f"{source.lock} is gone, or was made for another {source.path}"
    if lock.digest != used.lock:
        return f"{source.lock} has changed since it was built"
    if key_of(lock.digest, source, (built.base, built.version)) != used.key:
        return "packages or the Python of the site, over which it lies, have changed"
    return None


def outdated_kernels(session: Session, project: Project, used: Environment | None) -> list[str]:
    """Living kernels that were started with another environment."""
    digest = used.lock if used else SHARED.digest
    query = select(Kernel.id).where(
        Kernel.project_id == project.id, func.coalesce(Kernel.environment, SHARED.digest) != digest
    )
    return list(session.scalars(query.order_by(Kernel.created_at)))


def builds_of(project: Project) -> Select[Build]:
    """The project's builds, of all its environments, the newest first."""
    return select(Build).where(Build.project_id == project.id).order_by(Build.id.desc())


def tried(status: Status) -> bool:
    """Whether this very source was built, or begun, before."""
    return status.last is not None and status.source is not None and status.last.source == status.source.digest


def name_of(used: Environment | None, source: Source | None) -> str:
    """What to call an environment."""
    if used is None:
        return SHARED.name
    return f"{source.path if source else 'of the project'}, {'overlay' if used.overlay else 'isolated'}"


def note_for(project: Project, status: Status) -> str | None:
    """What a person should know who starts a kernel; None when all is as it should be."""
    has = "the environment that was built before" if status.used else "the site's own environment"
    if status.state == "building":
        return f"This kernel runs in {has}, because the project's is still being built. Restart it when that is ready."
    if status.state == "failed":
        return f"This kernel runs in {has}, because the project's could not be built: {status.error}"
    if status.state == "none":
        return f"This kernel runs in {has}. Build the project's: himalia environment build --project {project.slug}"
    if status.state == "outdated":
        again = f"himalia environment build --project {project.slug}"
        return f"This kernel runs in {has}: {status.reason}. Build it anew: {again}"
    return None
