"""Members of projects and their roles."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..service import tokens
from ..service.auth import PERSON, Principal
from ..service.context import Context
from ..service.paging import page_of
from ..service.problems import Conflict, Invalid, NotFound, nearest
from ..store import Member, Project, Token, User
from ..team import Role
from .models import MemberView


class Members:
    """Who belongs to a project, and as what. The last owner stays."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def page(self, project: Project, cursor: str | None, limit: int) -> tuple[list[MemberView], str | None]:
        """Members by name."""
        with self.context.database.read() as session:
            views = [MemberView(user=row.user, role=Role(row.role)) for row in _rows(session, project)]
        return page_of(views, lambda view: view.user, cursor, limit)

    def put(self, principal: Principal, project: Project, user: str, role: Role) -> MemberView:
        """Give a person a role in the project, whether they had one or not.

        Raises:
            Conflict: they are the last owner. Invalid: it is no person's name.
        """
        if not PERSON.fullmatch(user):
            raise Invalid(f"{user!r} is no person's name.", hint="Names have no spaces, / or :.", field="user")
        with self.context.change(principal) as change:
            change.require_live(project)
            row = change.session.get(Member, (project.id, user))
            before = row.role if row is not None else None
            if before == role:
                return MemberView(user=user, role=role)
            if row is not None:
                self._keep_an_owner(change.session, project, row)
                row.role = role
            else:
                if change.session.get(User, user) is None:
                    change.session.add(User(name=user))
                    change.session.flush()
                change.session.add(Member(project_id=project.id, user=user, role=role))
            change.audit("member.write", project, user, role=str(role), before=before)
            change.event("project.members", project.slug, {"user": user, "role": str(role)}, project)
        return MemberView(user=user, role=role)

    def remove(self, principal: Principal, project: Project, user: str) -> None:
        """Take a person out of the project; what acts for them in it ends.

        Raises:
            Conflict: they are the last owner. NotFound: they are no member.
        """
        with self.context.change(principal) as change:
            row = change.session.get(Member, (project.id, user))
            if row is None:
                names = [other.user for other in _rows(change.session, project)]
                raise NotFound(f"{user!r} is no member of {project.slug}.", hint=nearest(user, names), field="user")
            self._keep_an_owner(change.session, project, row)
            change.session.delete(row)
            query = select(Token).where(Token.project_id == project.id, Token.user == user, Token.revoked_at.is_(None))
            for token in list(change.session.scalars(query.where(Token.purpose == "kernel"))):
                tokens.revoke(change.session, token)
            change.audit("member.remove", project, user, before=row.role)
            change.event("project.members", project.slug, {"user": user, "role": None}, project)

    @staticmethod
    def _keep_an_owner(session: Session, project: Project, row: Member) -> None:
        if row.role != Role.OWNER:
            return
        others = [other for other in _rows(session, project) if other.role == Role.OWNER and other.user != row.user]
        if not others:
            raise Conflict(
                f"{row.user} is the last owner of {project.slug}.", hint="Make somebody else an owner first."
            )


def _rows(session: Session, project: Project) -> list[Member]:
    return list(session.scalars(select(Member).where(Member.project_id == project.id)))
