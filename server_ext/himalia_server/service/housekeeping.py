"""What is kept only for a while: events, idempotency keys, tokens that are worth nothing any more."""

from __future__ import annotations

from sqlalchemy import or_

from ..store import RequestKey, Token, now
from .context import Context
from .once import KEEP_SECONDS

DAY = 86400.0
TOKEN_DAYS = 7
"""An ended token is kept so long, so that a refusal can still be explained from the store."""


def prune(context: Context) -> None:
    """Delete what is past its time. Each kind in a transaction of its own, so that other writers get in between."""
    context.events.prune(now() - context.settings.event_days * DAY)
    with context.database.write() as session:
        session.query(RequestKey).where(RequestKey.created_at < now() - KEEP_SECONDS).delete()
    with context.database.write() as session:
        ended = now() - TOKEN_DAYS * DAY
        session.query(Token).where(or_(Token.revoked_at < ended, Token.expires_at < ended)).delete()
