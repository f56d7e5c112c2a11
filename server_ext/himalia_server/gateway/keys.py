"""Who may ask which deployment: bearer tokens against hashed keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import NamedTuple

MAX_TOKEN = 512


class Access(Enum):
    """What a request's credential allows."""

    GRANTED = "granted"
    OTHER = "other"  # a key of another deployment: this one must look as if it did not exist
    DENIED = "denied"


class HashedKey(NamedTuple):
    """The sha256 of a token (32 bytes) and when it expires (seconds since 1970, None: never)."""

    digest: bytes
    expires_at: float | None


class KeyRing:
    """The keys of all deployments."""

    def __init__(self, keys: Mapping[str, Iterable[HashedKey]], now: Callable[[], float]) -> None:
        """*keys*: by the name of the deployment; *now*: seconds since 1970."""
        self._keys = {name: tuple(items) for name, items in keys.items()}
        self._now = now

    def check(self, header: str | None, deployment: str | None) -> Access:
        """Check the value of an ``Authorization`` header for a deployment's name, known or not."""
        token = bearer_token(header)
        if token is None:
            return Access.DENIED
        digest, now = hashlib.sha256(token).digest(), self._now()
        own = self._keys.get(deployment, ()) if deployment is not None else ()
        if _matches(own, digest, now):
            return Access.GRANTED
        every = [key for keys in self._keys.values() for key in keys]
        return Access.OTHER if _matches(every, digest, now) else Access.DENIED


def bearer_token(header: str | None) -> bytes | None:
    """Return the token of an ``Authorization: Bearer …`` header, None when it holds none."""
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN or " " in token:
        return None
    return token.encode("latin-1", "replace")


def _matches(keys: Iterable[HashedKey], digest: bytes, now: float) -> bool:
    """Whether any living key has this digest; every key is compared, each in constant time."""
    found = False
    for key in keys:
        equal = hmac.compare_digest(key.digest, digest)
        found |= equal and (key.expires_at is None or now < key.expires_at)
    return found
