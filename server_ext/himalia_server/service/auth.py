"""Who calls, and whether they may."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Select, and_, select
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from ..store import Member, Project, User
from ..team import PROJECT_ACTIONS, SITE_ACTIONS, Role, SiteRole, ceiling, may, weakest
from . import tokens
from .journal import audit
from .problems import Conflict, Forbidden, NotFound

if TYPE_CHECKING:
    from .context import Context


METRICS = "metrics"
"""Purpose of the token that reads /metrics and nothing else."""
PERSON = re.compile(r"[^\s\x00-\x1f\x7f/:]{1,128}")
"""What an identity provider may call a person."""
SHOWN = 200
"""Characters of what a refused caller named that go into the audit log."""
WHILE_ARCHIVED = {
    "project.read",
    "project.archive",
    "project.delete",
    "project.move",
    "project.export",
    "member.read",
    "member.write",
    "run.read",
    "run.progress",
    "verify.read",
    "schedule.read",
    "notice.read",
    "model.read",
    "tracking.read",
    "cluster.read",
    "component.read",
    "deployment.read",
}
"""What can be done in an archived project; the rest of it rests."""
WHILE_DELETING = {"project.read", "project.delete", "run.read", "run.progress", "cluster.read", "deployment.read"}
"""What can still be done in a project whose deletion has begun."""


@dataclass(frozen=True)
class Principal:
    """A caller: a person, or a kernel or stage that acts for one within a project."""

    user: str
    purpose: str
    site_role: SiteRole | None
    token_id: str
    project_id: str | None
    limit: Role | None
    run_id: str | None
    stage: str | None


def bearer(connection: HTTPConnection) -> str | None:
    """The bearer token of a request or WebSocket; None when there is none."""
    scheme, _, text = connection.headers.get("authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None


def identify(context: Context, token: str | None, person: str | None = None) -> Principal | None:
    """The caller behind a token; None when it is absent or not valid.

    *person*: whom the Jupyter server that holds the token works for just then, when that is not the token's owner.
    Only an admin's own token can say so; the person then has no more than what they are a member of.
    """
    if token is None:
        return None
    with context.database.read() as session:
        row = tokens.find(session, token)
        if row is None:
            return None
        user = session.get(User, row.user)
        if user is None:
            return None
        # site roles belong to persons; code that acts for one never has them
        site_role = SiteRole(user.site_role) if user.site_role and row.purpose == "user" else None
        if person is not None:
            # the owner is never named: a guest who happens to be called so is not the owner
            if person == row.user or site_role != SiteRole.ADMIN or not PERSON.fullmatch(person):
                return None
            return Principal(person, "forwarded", None, row.id, None, None, None, None)
        limit = Role(row.role) if row.role else None
        return Principal(row.user, row.purpose, site_role, row.id, row.project_id, limit, row.run_id, row.stage)


def forwarded_person(connection: HTTPConnection) -> str | None:
    """For whom a Jupyter server asks; None when for its own account."""
    return connection.headers.get("x-himalia-user")


def _caller(request: Request) -> Principal:
    return request.state.principal  # type: ignore[no-any-return]


Caller = Annotated[Principal, Depends(_caller)]
"""A route's parameter of this type is who calls; `gatekeeper` has let nobody else in."""


def role_in(session: Session, principal: Principal, project: Project) -> Role | None:
    """The caller's effective role in *project*; None when they may not know that it exists."""
    if principal.project_id is not None and principal.project_id != project.id:
        return None
    member = session.get(Member, (project.id, principal.user))
    if member is None:
        # an auditor reads everything
        return Role.VIEWER if principal.site_role == SiteRole.AUDITOR else None
    return ceiling(Role(member.role), principal.limit)


def visible(principal: Principal, *what: Any) -> Select[Any]:
    """A query for *what* of the projects that the caller may see; its last column is for `role_from`."""
    mine = and_(Member.project_id == Project.id, Member.user == principal.user)
    auditor = principal.site_role == SiteRole.AUDITOR
    query = select(*what, Member.role).select_from(Project).join(Member, mine, isouter=auditor)
    return query if principal.project_id is None else query.where(Project.id == principal.project_id)


def role_from(principal: Principal, stored: str | None) -> Role:
    """The caller's effective role in a project that `visible` found."""
    return Role.VIEWER if stored is None else ceiling(Role(stored), principal.limit)


def visible_projects(context: Context, principal: Principal) -> set[str]:
    """Ids of the projects that the caller may see."""
    with context.database.read() as session:
        return {row[0] for row in session.execute(visible(principal, Project.id))}


def authorize(
    context: Context,
    principal: Principal,
    slug: str,
    action: str,
    subject: str | None = None,
    *,
    persons_only: bool = False,
    trashed: bool = False,
) -> Project:
    """The project *slug*, when the caller may do *action* in it. A denial is audited.

    `persons_only` refuses the tokens of kernels and stages, whatever their role. `trashed` also finds one that was
    deleted and can still be restored.

    Raises:
        NotFound: there is no such project, or the caller may not know of it.
        Forbidden: the caller may see it but not do this.
        Conflict: it is being deleted, or it is archived and this is not for such.
    """
    if action not in PROJECT_ACTIONS:
        raise KeyError(f"unknown action {action!r}")
    with context.database.read() as session:
        project = session.scalar(select(Project).where(Project.slug == slug))
        role = role_in(session, principal, project) if project is not None else None
    if project is None or role is None:
        deny(context, principal, action, slug, subject)
        near = _nearest_project(context, principal, slug)
        raise NotFound(
            f"There is no project {slug!r} that you can see.", hint=f"{near}`himalia project list` shows yours."
        )
    if project.trashed_at is not None and not trashed:
        raise NotFound(
            f"The project {slug} is in the trash.", hint=f"An owner can bring it back: himalia project restore {slug}"
        )
    if project.deleting is not None and action not in WHILE_DELETING:
        raise Conflict(f"The project {slug} is being deleted.", hint="Wait until it is gone.")
    if project.archived_at is not None and action not in WHILE_ARCHIVED:
        raise Conflict(
            f"The project {slug} is archived.", hint=f"An owner can bring it back: himalia project unarchive {slug}"
        )
    if persons_only and principal.purpose != "user":
        deny(context, principal, action, slug, subject)
        whose = "a guest of this Jupyter server" if principal.purpose == "forwarded" else f"a {principal.purpose}"
        raise Forbidden(
            f"{action} is for persons with a token of their own; this came from {whose}.",
            hint="Use your own JupyterLab, or the himalia command.",
        )
    if not may(role, action):
        deny(context, principal, action, slug, subject)
        raise Forbidden(
            f"{action} in {slug} needs the role {weakest(action)} or more; yours here is {role}.",
            hint="Ask an owner of the project."
            if principal.limit is None
            else "Code in a kernel or stage is limited on purpose: use JupyterLab or the himalia command.",
        )
    return project


def _nearest_project(context: Context, principal: Principal, slug: str) -> str:
    """A question whether another one was meant, of those that the caller may see; or nothing."""
    with context.database.read() as session:
        known = [
            row[0] for row in session.execute(visible(principal, Project.slug).where(Project.trashed_at.is_(None)))
        ]
    close = get_close_matches(slug, known, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def authorize_site(context: Context, principal: Principal, action: str) -> None:
    """Refuse unless the caller's site role allows *action*.

    Raises:
        Forbidden: it does not.
    """
    if principal.site_role not in SITE_ACTIONS[action]:
        deny(context, principal, action, None, None)
        raise Forbidden(
            f"{action} is for {' and '.join(sorted(SITE_ACTIONS[action]))} of the site.",
            hint="Ask the account that owns the site (himalia status names its folder).",
        )


def authorize_metrics(context: Context, principal: Principal) -> None:
    """Refuse all but the token for metrics, admins and auditors.

    Raises:
        Forbidden: it is none of them.
    """
    if principal.purpose != METRICS:
        authorize_site(context, principal, "metrics.read")


def deny(
    context: Context,
    principal: Principal,
    action: str,
    project: str | None,
    subject: str | None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Write a denial into the audit log."""
    with context.database.write() as session:
        audit(
            session,
            actor=principal.user,
            purpose=principal.purpose,
            action=action,
            project=project and project[:SHOWN],
            subject=subject and subject[:SHOWN],
            outcome="denied",
            detail=detail,
        )
