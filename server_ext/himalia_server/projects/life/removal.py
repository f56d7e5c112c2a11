"""What deleting a project would take away."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from ...service.auth import Principal, visible_projects
from ...service.context import Context
from ...service.identity import start_ticks
from ...store import Cluster, Component, Deployment, Kernel, Member, Project, Run, Secret
from ..manifest import ManifestCache, ManifestFault
from .lifecycle import TRASH_DAYS
from .models import Removal, Using

FILES = 200_000
"""Of a folder that are counted."""
Models = Callable[[Project], tuple[int, int] | None]
"""How many registered models and versions a project has; None: cannot be told now."""


def removal_of(
    context: Context, principal: Principal, project: Project, manifests: ManifestCache, models: Models
) -> Removal:
    """Counted now; what is removed is what there is when it is deleted."""
    shown = visible_projects(context, principal)
    files, size, more = _folder(Path(project.path))
    found = models(project)
    with context.database.read() as session:

        def count(table: type[Run] | type[Secret] | type[Component] | type[Member]) -> int:
            return session.scalar(select(func.count()).select_from(table).where(table.project_id == project.id)) or 0

        endpoints = select(Deployment.name).where(Deployment.project_id == project.id).order_by(Deployment.name)
        clusters = select(Cluster.name).where(Cluster.project_id == project.id).order_by(Cluster.name)
        running = select(func.count()).where(Run.project_id == project.id, Run.ended_at.is_(None))
        kernels = list(session.scalars(select(Kernel).where(Kernel.project_id == project.id)))
        others = list(session.scalars(select(Project).where(Project.id != project.id, Project.trashed_at.is_(None))))
        return Removal(
            project=project.slug,
            folder=project.path,
            files=files,
            bytes=size,
            more=more,
            runs=count(Run),
            running=session.scalar(running) or 0,
            # one whose starter is gone has ended with it, and is only still to be forgotten
            kernels=sum(start_ticks(kernel.owner_pid) == kernel.owner_ticks for kernel in kernels),
            models=found[0] if found else None,
            versions=found[1] if found else None,
            endpoints=list(session.scalars(endpoints)),
            clusters=list(session.scalars(clusters)),
            secrets=count(Secret),
            components=count(Component),
            used_by=[
                Using(project=other.slug if other.id in shown else "another project", component=use)
                for other in others
                for use in _uses(other, manifests)
                if use.startswith(f"{project.slug}/")
            ],
            members=count(Member),
            days=TRASH_DAYS,
        )


def _uses(project: Project, manifests: ManifestCache) -> list[str]:
    try:
        return list(manifests.read(Path(project.path)).project.uses)
    except ManifestFault:
        return []


def _folder(folder: Path) -> tuple[int, int, bool]:
    """Files and bytes of a folder, and whether there are more than were counted."""
    files = size = 0
    for base, _, names in os.walk(folder):
        for name in names:
            if files >= FILES:
                return files, size, True
            try:
                size += os.lstat(os.path.join(base, name)).st_size  # noqa: PTH118 - faster for many files
            except OSError:
                continue  # gone meanwhile
            files += 1
    return files, size, False
