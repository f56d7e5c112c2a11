"""Headers of HTTP that every hop treats alike. Imports nothing, so that all parts may use it."""

from __future__ import annotations

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Of one connection only: never passed on (RFC 9110, 7.6.1; names in lower case)."""


def named_by(connection: str) -> set[str]:
    """The headers that a `Connection` header names: they end at the next hop too."""
    return {name.strip().lower() for name in connection.split(",")}
