"""Errors that a person reads: what happened, why, what to do. On the wire problem+json (RFC 9457)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):
    """Base of errors that reach the caller. `hint` says what to do, `field` names the faulty input."""

    status = 500
    title = "Something went wrong"

    def __init__(self, detail: str, *, hint: str | None = None, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.hint, self.field = detail, hint, field

    def to_dict(self) -> dict[str, Any]:
        """The problem+json document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            document["hint"] = self.hint
        if self.field:
            document["field"] = self.field
        return document


class Unreadable(Problem):
    """The request cannot be read."""

    status, title = 400, "Unreadable"


class Unauthenticated(Problem):
    """No credential, or one that is not valid (any more)."""

    status, title = 401, "Sign in first"


class Forbidden(Problem):
    """The caller may see this but not do it."""

    status, title = 403, "Not allowed"


class NotFound(Problem):
    """There is no such thing, or the caller may not know of it."""

    status, title = 404, "Not found"


class NotAllowed(Problem):
    """The address exists, but not for this method."""

    status, title = 405, "Another method is needed"


class Conflict(Problem):
    """It clashes with what exists or with what goes on."""

    status, title = 409, "Conflict"


class TooLarge(Problem):
    """The body is larger than is taken."""

    status, title = 413, "Too large"


class WrongType(Problem):
    """The body is not JSON by its own account."""

    status, title = 415, "Not JSON"


class Invalid(Problem):
    """The input is wrong."""

    status, title = 422, "Invalid input"


class Unavailable(Problem):
    """A part that is needed does not answer now; try again."""

    status, title = 503, "Not available now"


class StorageFull(Problem):
    """The disk is full."""

    status, title = 507, "The disk is full"


TITLES = {kind.status: kind.title for kind in Problem.__subclasses__()}
"""What each status means."""


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean …?' with the nearest known name, or what is known, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(names[:12])}." if names else "There is none yet."
