"""Predict-only tokens of endpoints: made, listed. Their texts are told once and stored as hashes."""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..store import Deployment, DeploymentKey, now
from .models import KeyView


def new_token() -> tuple[str, str]:
    """The text of a new token, and its SHA-256 in hex, by which the gateway knows it."""
    token = "hmd_" + secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).hexdigest()


def valid_keys(session: Session, row: Deployment) -> list[DeploymentKey]:
    """The endpoint's tokens that were neither revoked nor have expired."""
    keys = session.scalars(select(DeploymentKey).where(DeploymentKey.deployment_id == row.id))
    return [key for key in keys if key.revoked_at is None and (key.expires_at is None or key.expires_at > now())]


def key_view(key: DeploymentKey) -> KeyView:
    """A token as its owner sees it."""
    return KeyView(
        id=key.id,
        label=key.label,
        created_by=key.created_by,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
