"""Laid-out modules that nothing refers to any more are removed after some days; the content store keeps their files."""

from __future__ import annotations

import logging

from sqlalchemy import func, select

from ..store import Component, Kernel, Revision, now
from .manager import Components

log = logging.getLogger(__name__)
HOUR, DAY = 3600.0, 86400.0
DAYS = 7
"""They are kept so long after they were last asked for: replicas of an endpoint that is gone still end."""


def tidy(manager: Components, moment: float | None = None) -> list[str]:
    """Remove what no published component and no revision of an endpoint names, and no kernel that lives was given.

    Returns: the digests of what was removed.
    """
    moment = now() if moment is None else moment
    with manager.context.database.read() as session:
        kept = set(session.scalars(select(Component.digest)))
        kept |= set(session.scalars(select(Revision.sources).where(Revision.sources.is_not(None))))
        # a kernel asks for its folders when it starts, and may import from them for as long as it lives
        oldest = session.scalar(select(func.min(Kernel.created_at)))
    before = moment - DAYS * DAY
    if oldest is not None:
        before = min(before, oldest - HOUR)  # it asked a moment before it was written down
    removed = manager.snapshots.collect(kept, before)
    if removed:
        log.info("removed %d folders of modules that nothing refers to", len(removed), extra={"digests": removed})
    return removed
