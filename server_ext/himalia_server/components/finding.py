"""Which components a project may use, and what its `uses` lead to.

Who may see the project that publishes a component may see and use it. Its users then need no rights there: once
somebody who may see it has given it to a project (`ComponentUse`), all who work in that project have it, until it is
taken out of that project's himalia.toml. Everybody else is told that there is no such thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ..projects import Manifest
from ..service.auth import Principal, role_in, visible
from ..service.context import Change, Context
from ..service.problems import nearest
from ..store import Component, ComponentUse, Project
from .modules import collisions, modules_of, shadowed
from .uses import split


@dataclass(frozen=True)
class Found:
    """What a project's `uses` lead to: rows in their order, and what is wrong with the others, a sentence each."""

    rows: list[Component]
    problems: dict[str, str]


def by_name(rows: Iterable[Component]) -> dict[str, dict[str, Component]]:
    """Rows by component and version."""
    found: dict[str, dict[str, Component]] = {}
    for row in rows:
        found.setdefault(row.name, {})[row.version] = row
    return found


def visible_components(session: Session, principal: Principal) -> list[Component]:
    """Components that the caller may see: of projects that they may see, and those given to one of these."""
    mine = [row[0] for row in session.execute(visible(principal, Project.id))]
    given = select(ComponentUse.name).where(ComponentUse.project_id.in_(mine))
    query = select(Component).where(or_(Component.project_id.in_(mine), Component.name.in_(given)))
    return list(session.scalars(query))


def may_use(session: Session, principal: Principal | None, project: Project, rows: Mapping[str, Component]) -> bool:
    """Whether a project may use the component of these *rows*: its own, one given to it, or one the caller sees."""
    row = next(iter(rows.values()))
    if row.project_id == project.id or session.get(ComponentUse, (project.id, row.name)) is not None:
        return True
    publisher = session.get(Project, row.project_id) if row.project_id else None
    if principal is None or publisher is None:
        return False
    return role_in(session, principal, publisher) is not None


def find(session: Session, principal: Principal | None, project: Project, manifest: Manifest) -> Found:
    """The components that a project uses and may use: its own, those given to it, and those the caller may see."""
    uses = [split(use) for use in manifest.project.uses]
    if not uses:
        return Found([], {})
    query = select(Component).where(Component.name.in_([name for name, _ in uses]))
    rows = by_name(session.scalars(query))
    allowed = {name: known for name, known in rows.items() if may_use(session, principal, project, known)}
    found: list[Component] = []
    problems: dict[str, str] = {}
    for name, version in uses:
        use = f"{name}@{version}"
        if name not in allowed:
            known = by_name(visible_components(session, principal)) if principal else allowed
            near = nearest(name, known) if known else ""
            problems[use] = (
                f"There is no component {name} that this project may use; somebody who may see the project "
                f"{name.partition('/')[0]!r} can add it: himalia component use {use} --project {project.slug}. {near}"
            ).strip()
        elif version not in allowed[name]:
            problems[use] = f"{name} has no version {version}. {nearest(version, allowed[name])}"
        elif allowed[name][version] not in found:
            found.append(allowed[name][version])
    return Found(found, problems)


def resolve(context: Context, principal: Principal, project: Project, manifest: Manifest) -> Found:
    """As `find`; what the caller may see is given to the project, what it no longer uses is taken from it."""
    names = {split(use)[0] for use in manifest.project.uses}
    with context.database.read() as session:
        found = find(session, principal, project, manifest)
        query = select(ComponentUse.name).where(ComponentUse.project_id == project.id)
        given = set(session.scalars(query))
    fresh = {row.name for row in found.rows if row.project_id != project.id} - given
    if fresh or given - names:
        with context.change(principal) as change:
            for name in sorted(fresh):
                give(change, project, name)
                change.audit("component.use", project, name)
            for name in sorted(given - names):
                row = change.session.get(ComponentUse, (project.id, name))
                if row is not None:
                    change.session.delete(row)
    return found


def give(change: Change, project: Project, name: str) -> None:
    """Have the project use a component from now on, whoever works in it."""
    if change.session.get(ComponentUse, (project.id, name)) is None and change.principal is not None:
        change.session.add(ComponentUse(project_id=project.id, name=name, added_by=change.principal.user))


def problems_of(project: Project, manifest: Manifest, found: Found) -> list[str]:
    """What is wrong with a project's modules and components, a sentence each."""
    src = Path(project.path) / "src"
    by_component = {f"{row.name}@{row.version}": [str(name) for name in row.modules] for row in found.rows}
    return [
        *found.problems.values(),
        *(shadow.sentence for shadow in shadowed(src, project.python)),
        *collisions(modules_of(src), by_component),
    ]
