"""Creating requests that may arrive twice: with the same idempotency key a thing is made once.

What a request has made is written in the transaction that makes it, so that not even a kill in between can make a
second one. A repetition is answered with the thing as it is now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from ..store import RequestKey
from .auth import Caller, Principal
from .inputs import Form
from .problems import Invalid

if TYPE_CHECKING:
    from .context import Context

T = TypeVar("T")
KeyText = Annotated[str, Form("[A-Za-z0-9._:-]{1,64}", "1 to 64 letters, digits and any of . _ : -")]
KEEP_SECONDS = 24 * 3600.0
"""A key is remembered so long."""


class Repeated(Exception):
    """A request with this key has made `subject` already."""

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.subject = subject


@dataclass(frozen=True)
class Once:
    """A caller's idempotency key, and what was asked with it."""

    owner: str
    key: str
    fingerprint: str

    @property
    def mark(self) -> str:
        """Stands for this request where it leaves something outside of the store. Tells nothing of the key."""
        return hashlib.sha256(f"{self.owner}\n{self.key}\n{self.fingerprint}".encode()).hexdigest()

    def earlier(self, session: Session) -> str | None:
        """What a request with this key has made; None when there was none.

        Raises:
            Invalid: that one asked for something else.
        """
        row = session.get(RequestKey, (self.owner, self.key))
        if row is None:
            return None
        if row.fingerprint != self.fingerprint:
            raise Invalid(
                "This Idempotency-Key was used for another request.",
                hint="Make a new key for each thing that you ask for; repeat a key only with the same request.",
                field="Idempotency-Key",
            )
        return row.subject

    def require_new(self, context: Context) -> None:
        """Look before the work begins.

        Raises:
            Repeated: it was done already.
        """
        with context.database.read() as session:
            subject = self.earlier(session)
        if subject is not None:
            raise Repeated(subject)

    def record(self, session: Session, subject: str) -> None:
        """Remember within the transaction that makes *subject*.

        Raises:
            Repeated: another request with this key was faster.
        """
        made = self.earlier(session)
        if made is not None:
            raise Repeated(made)
        session.add(RequestKey(owner=self.owner, key=self.key, fingerprint=self.fingerprint, subject=subject))


async def _once(
    request: Request,
    caller: Caller,
    idempotency_key: Annotated[
        KeyText | None,
        Header(description="Your own random text for this request: repeated within a day, it makes nothing more."),
    ] = None,
) -> Once | None:
    if idempotency_key is None:
        return None
    return once_of(caller, idempotency_key, request, await request.body())


def once_of(caller: Principal, key: str, request: Request, body: bytes) -> Once:
    """A caller's key for a request whose *body*, or what stands for it, was read already."""
    asked = f"{request.method} {request.url.path}\n".encode() + body
    owner = f"{caller.purpose}:{caller.project_id or ''}:{caller.user}"
    return Once(owner, key, hashlib.sha256(asked).hexdigest())


OnceKey = Annotated[Once | None, Depends(_once)]
"""A route's parameter of this type makes the request repeatable; pass it to `make_once`."""


def make_once(once: Once | None, context: Context, make: Callable[[], T], show: Callable[[str], T]) -> T:
    """What *make* makes, or, when this key has made it already, what *show* shows of it."""
    try:
        if once is not None:
            once.require_new(context)
        return make()
    except Repeated as repeated:
        return show(repeated.subject)
