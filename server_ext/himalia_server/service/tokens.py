"""Opaque tokens: made, written to files that clients read per request, renewed, revoked. Hashed at rest."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..store import Kernel, StageRun, Token, now
from .identity import start_ticks
from .site import private_folder, write_private

KERNEL_SECONDS = 12 * 3600
STAGE_SECONDS = 24 * 3600
OVERLAP_SECONDS = 600
"""A renewed token's predecessor stays valid so long, for requests under way."""


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256 in hex. Tokens have 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def fresh() -> str:
    """A new token."""
    return "him_" + secrets.token_urlsafe(32)


def issue(
    session: Session,
    *,
    purpose: str,
    user: str,
    seconds: float | None,
    file: Path | None = None,
    project_id: str | None = None,
    role: str | None = None,
    run_id: str | None = None,
    stage: str | None = None,
) -> Token:
    """Make a token and, when *file* is given, write it there (0600). Its text is nowhere else."""
    text = fresh()
    row = Token(
        sha256=digest(text),
        purpose=purpose,
        user=user,
        project_id=project_id,
        role=role,
        run_id=run_id,
        stage=stage,
        file=str(file) if file else None,
        expires_at=now() + seconds if seconds is not None else None,
    )
    session.add(row)
    session.flush()
    if file is not None:
        private_folder(file.parent)
        write_private(file, text + "\n")
    return row


def renew(session: Session, row: Token, seconds: float) -> Token:
    """Put a fresh token into the old one's file; the old one ends after `OVERLAP_SECONDS`.

    Also one that has expired already: the clock was set, or the machine slept, and requests are under way with it.
    """
    row.renewed = True
    row.expires_at = now() + OVERLAP_SECONDS
    return issue(
        session,
        purpose=row.purpose,
        user=row.user,
        seconds=seconds,
        file=Path(row.file) if row.file else None,
        project_id=row.project_id,
        role=row.role,
        run_id=row.run_id,
        stage=row.stage,
    )


def is_due(row: Token, seconds: float) -> bool:
    """Whether a token made for *seconds* is past half its time, would live longer than that (the clock was put back),
    or its file does not hold it.

    The file differs when the service was killed after it had written a new token there and before that was committed.
    """
    if row.expires_at is not None and not seconds / 2 <= row.expires_at - now() <= seconds + OVERLAP_SECONDS:
        return True
    try:
        return row.file is not None and digest(Path(row.file).read_text().strip()) != row.sha256
    except OSError:
        return True


def is_late(session: Session, text: str) -> bool:
    """Whether a token has expired only because it could not be renewed yet, while its kernel or stage lives.

    So it is for a moment after the clock was set, or after the machine has slept.
    """
    row = session.scalar(select(Token).where(Token.sha256 == digest(text)))
    if row is None or row.revoked_at is not None or row.renewed or row.expires_at is None or row.expires_at >= now():
        return False
    if row.purpose == "stage":
        stage = session.get(StageRun, (row.run_id, row.stage))
        return stage is not None and stage.status == "running"
    kernel = session.scalar(select(Kernel).where(Kernel.token_id == row.id))
    return kernel is not None and start_ticks(kernel.owner_pid) == kernel.owner_ticks


def revoke(session: Session, row: Token) -> None:
    """End a token now and remove its file."""
    row.revoked_at = now()
    if row.file:
        Path(row.file).unlink(missing_ok=True)


def revoke_all(session: Session, **which: str) -> None:
    """End all valid tokens whose columns have these values, for example `run_id` and `stage`."""
    for row in session.scalars(select(Token).filter_by(**which).where(Token.revoked_at.is_(None))):
        revoke(session, row)


def find(session: Session, text: str) -> Token | None:
    """The valid token with that text; None when unknown, expired or revoked."""
    row = session.scalar(select(Token).where(Token.sha256 == digest(text)))
    if row is None or row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at < now():
        return None
    return row
