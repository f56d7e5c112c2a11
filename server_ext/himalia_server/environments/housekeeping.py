"""Environments that nothing uses any more are removed after some days."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
from sqlalchemy import select
from sqlalchemy.orm import Session

from ..locking import try_lock
from ..projects import ManifestFault
from ..service.auth import Principal
from ..store import Build, Environment, Kernel, Project, Run
from .follow import child_name
from .manager import Environments
from .models import Pruned, StoredEnvironment

log = logging.getLogger(__name__)
DAY = 86400.0
DAYS = 7
"""An environment is kept so long after its last use."""
BUILDS = 5
"""Of each project, whose logs are kept."""
ENDED = ("succeeded", "failed", "cancelled", "timed_out")
"""Statuses of runs that need no environment any more."""


def tidy(manager: Environments) -> None:
    """The regular round: what was not used for `DAYS`, and the logs of old builds."""
    collect(manager, DAYS)
    _forget_builds(manager)


def stored(manager: Environments) -> list[StoredEnvironment]:
    """All environments of the site, the oldest first."""
    with manager.context.database.read() as session:
        users = list(session.scalars(select(Project.environment_id).where(Project.environment_id.is_not(None))))
        users += list(_named(session).values())
        needed = _needed(session)
        rows = list(session.scalars(select(Environment).order_by(Environment.id)))
    return [
        StoredEnvironment(
            key=Path(row.folder).name,
            digest=row.lock,
            python=row.python,
            overlay=row.overlay,
            packages=row.packages,
            bytes=row.bytes,
            projects=users.count(row.id),
            in_use=row.id in users or row.lock in needed,
            created_at=row.created_at,
            used_at=row.used_at,
        )
        for row in rows
    ]


def collect(manager: Environments, days: float, principal: Principal | None = None) -> Pruned:
    """Remove environments that no project, kernel or run has used for *days*, and what killed builds left."""
    moment, removed, freed = manager.clock(), list[str](), 0
    with manager.lock:
        with manager.context.change(principal) as change:
            needed, used = _needed(change.session), _users(change.session)
            idle = []
            for row in change.session.scalars(select(Environment)):
                if row.id in used or row.lock in needed:
                    row.used_at = moment
                elif row.used_at <= moment - days * DAY:
                    idle.append(row)
            busy = _lived_in([row.folder for row in idle])
            for row in idle:
                if row.folder in busy:
                    row.used_at = moment
                    continue
                removed.append(Path(row.folder).name)
                freed += row.bytes
                change.session.delete(row)
                change.audit("environment.remove", None, row.key, bytes=row.bytes)
                change.event("environment.removed", row.key, {"bytes": row.bytes})
            known = {Path(row.folder).name for row in change.session.scalars(select(Environment)) if row not in idle}
            known |= {Path(row.folder).name for row in idle if row.folder in busy}
            building = change.session.scalar(select(Build.id).where(Build.state == "building").limit(1)) is not None
        for name in removed if building else [*removed, *_strangers(manager.root, known)]:
            _remove(manager.root / name)
    return Pruned(removed=removed, bytes=freed)


def _needed(session: Session) -> set[str | None]:
    """Locks that a kernel was started with, or that a run needs which goes on."""
    needed = set(session.scalars(select(Kernel.environment).distinct()))
    for own, options in session.execute(select(Run.environment, Run.options).where(Run.status.not_in(ENDED))):
        needed |= {own, *options.get("environments", ())}
    return needed


def _users(session: Session) -> set[str | None]:
    return set(session.scalars(select(Project.environment_id))) | set(_named(session).values())


def _named(session: Session) -> dict[tuple[str, str | None], str | None]:
    """Project and name → the environment that a further one of a project is now."""
    ready = select(Build.project_id, Build.name, Build.environment_id).where(
        Build.name.is_not(None), Build.state == "ready", Build.environment_id.is_not(None)
    )
    return {(row[0], row[1]): row[2] for row in session.execute(ready.order_by(Build.id))}


def _lived_in(folders: list[str]) -> set[str]:
    """Of these folders those that a process of this machine was started from, whoever started it."""
    found: set[str] = set()
    if not folders:
        return found
    for process in psutil.process_iter():
        try:
            words = process.cmdline()[:1]
        except psutil.Error:
            continue
        found |= {folder for folder in folders if words and words[0].startswith(folder + os.sep)}
    return found


def _strangers(root: Path, known: set[str]) -> list[str]:
    """Folders that no row tells of: of builds that were killed, or that were removed half."""
    names = [path.name for path in root.iterdir() if path.is_dir() and path.name != ".builds"]
    return [name for name in names if name not in known]


def _remove(folder: Path) -> None:
    """Remove an environment, unless it is being built this moment."""
    lock = folder.with_name(f"{folder.name}.lock")
    descriptor = try_lock(lock)
    if descriptor is None:
        return
    try:
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
        if folder.exists():
            folder.rename(aside)  # whoever looks now finds nothing, instead of a half
        shutil.rmtree(aside, ignore_errors=True)
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _forget_builds(manager: Environments) -> None:
    """Keep the last builds of each environment of a project, and the one that made what it uses."""
    with manager.context.database.read() as session:
        rows = list(session.scalars(select(Build).order_by(Build.id.desc())))
    nobodys = _nobodys(manager, {(row.project_id, row.name) for row in rows if row.name is not None})
    kept: dict[tuple[str, str | None], int] = {}
    good: set[tuple[str, str | None]] = set()
    old = []
    for row in rows:
        which = (row.project_id, row.name)
        kept[which] = kept.get(which, 0) + 1
        first_good = row.state == "ready" and which not in good
        if first_good:
            good.add(which)
        if row.state != "building" and ((kept[which] > BUILDS and not first_good) or which in nobodys):
            old.append(row.id)
    for build_id in old:
        with manager.context.change() as change:
            row_ = change.session.get(Build, build_id)
            if row_ is not None:
                change.session.delete(row_)
        manager.context.site.log(child_name(build_id)).unlink(missing_ok=True)


def _nobodys(manager: Environments, named: set[tuple[str, str | None]]) -> set[tuple[str, str | None]]:
    """Of these, by project and name, those that the project's manifest has no longer."""
    with manager.context.database.read() as session:
        found = {key: session.get(Project, key) for key in {key for key, _ in named}}
    gone = set[tuple[str, str | None]]()
    for key, project in found.items():
        with suppress(ManifestFault):  # whoever edits it may be about to name it again
            names = manager.reader.names(project) if project is not None else []
            gone |= {(other, name) for other, name in named if other == key and name not in names}
    return gone
