"""Who may do what: the one table. Deny by default: an action that is not named here is refused."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A person's role in a project."""

    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    OPERATOR = "operator"
    APPROVER = "approver"
    OWNER = "owner"


class SiteRole(StrEnum):
    """A person's role at the site."""

    ADMIN = "admin"
    AUDITOR = "auditor"


_EVERYBODY = frozenset(Role)
_EDITORS = _EVERYBODY - {Role.VIEWER}
_OPERATORS = frozenset({Role.OPERATOR, Role.APPROVER, Role.OWNER})
_OWNERS = frozenset({Role.OWNER})

PROJECT_ACTIONS: dict[str, frozenset[Role]] = {
    "project.read": _EVERYBODY,
    "project.edit": _EDITORS,
    "project.export": _EDITORS,
    "project.archive": _OWNERS,
    "project.move": _OWNERS,
    "project.delete": _OWNERS,
    "member.read": _EVERYBODY,
    "member.write": _OWNERS,
    "secret.list": _EDITORS,
    "secret.write": _OWNERS,
    "component.read": _EVERYBODY,
    "component.publish": _EDITORS,
    "component.use": _EDITORS,
    "environment.read": _EVERYBODY,
    "environment.build": _EDITORS,
    "kernel.start": _EDITORS,
    "cluster.read": _EVERYBODY,
    "cluster.connect": _EDITORS,
    "cluster.write": _EDITORS,
    "run.read": _EVERYBODY,
    "run.start": _EDITORS,
    "run.cancel": _EDITORS,
    "run.progress": _EDITORS,
    "verify.read": _EVERYBODY,
    "verify.start": _EDITORS,
    "schedule.read": _EVERYBODY,
    "schedule.write": _EDITORS,
    "schedule.operate": _EDITORS,
    "notice.read": _EVERYBODY,
    "notifier.list": _EDITORS,
    "notifier.write": _OPERATORS,
    "model.read": _EVERYBODY,
    "model.alias": _OPERATORS,
    "deployment.read": _EVERYBODY,
    "deployment.request": _EDITORS,
    "deployment.predict": _EDITORS,
    "deployment.write": _OPERATORS,
    "deployment.token": _OPERATORS,
    "tracking.read": _EVERYBODY,
    "tracking.write": _EDITORS,
    "tracking.registry": _OPERATORS,
    "tracking.delete": _OWNERS,
}

SITE_ACTIONS: dict[str, frozenset[SiteRole]] = {
    "site.manage": frozenset({SiteRole.ADMIN}),
    "template.write": frozenset({SiteRole.ADMIN}),
    "audit.read": frozenset({SiteRole.ADMIN, SiteRole.AUDITOR}),
    "metrics.read": frozenset({SiteRole.ADMIN, SiteRole.AUDITOR}),
}
"""Actions on the site itself. Every signed-in person may make a project and read the service's version."""

_RANK = [Role.VIEWER, Role.CONTRIBUTOR, Role.OPERATOR, Role.APPROVER, Role.OWNER]


def ceiling(role: Role, limit: Role | None) -> Role:
    """The lower of a person's role and the limit of the credential in use."""
    return role if limit is None else min(role, limit, key=_RANK.index)


def may(role: Role, action: str) -> bool:
    """Whether *role* allows the project action *action*."""
    return role in PROJECT_ACTIONS.get(action, frozenset())


def weakest(action: str) -> Role:
    """The weakest role that may do *action* (for messages)."""
    return min(PROJECT_ACTIONS[action], key=_RANK.index)
