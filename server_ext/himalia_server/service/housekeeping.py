"""What is kept only for a while: events, idempotency keys, tokens that are worth nothing any more."""

from __future__ import annotations

from sqlalchemy import and_, or_

from ..store import Database, RequestKey, Token, now
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
    prune_tokens(context.database)


def prune_tokens(database: Database) -> None:
    """Delete tokens that ended long ago, but none of a kernel or stage that is only late to be renewed."""
    with database.write() as session:
        ended = now() - TOKEN_DAYS * DAY
        # one that was neither renewed nor revoked belongs to something that lives: the clock was just set
        over = or_(Token.renewed, Token.purpose.not_in(("kernel", "stage")))
        session.query(Token).where(or_(Token.revoked_at < ended, and_(Token.expires_at < ended, over))).delete()
