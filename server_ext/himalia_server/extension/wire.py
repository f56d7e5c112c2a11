"""What passes between browser and service: addresses and headers. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urljoin, urlsplit

from himalia_server.http_headers import HOP_BY_HOP, named_by

PREFIX = "himalia"
"""The service's address `/p` is `<base url>himalia/p` in the browser, for each of the `OPEN` ones."""
OPEN = ("/api/v1/", "/mlflow/", "/dashboard/")

_REQUEST_HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Control",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Idempotency-Key",
    "Last-Event-ID",
    "Range",
    "User-Agent",
    "X-Request-ID",
)
_DROPPED = HOP_BY_HOP | frozenset(
    {
        # of the service, not of this server
        "authorization",
        "date",
        "location",
        "server",
        "set-cookie",
        "set-cookie2",
        "strict-transport-security",
        "www-authenticate",
        "x-frame-options",  # older than frame-ancestors, and knows no JupyterLab around it
        "x-himalia-user",
    }
)
_OURS = frozenset({"content-security-policy", "x-content-type-options", "content-type"})
_VISIBLE = re.compile(r"[\x21-\x7e]*")
_FORBIDDEN = re.compile(r"[\\\x00-\x1f\x7f]")
_CREDENTIALS = frozenset({"token", "_xsrf"})


class BadAddressError(ValueError):
    """The address is refused; the text says why."""


def upstream_target(uri: str, base_url: str) -> str:
    """Path and query at the service for what the browser asked for, as it was sent.

    *uri* is the request's own, with the query. Jupyter's token and XSRF token are taken out of the query: they
    are the browser's credentials, and the service would log them.

    Raises:
        BadAddressError: it would leave the prefix once somebody decodes or normalises it.
    """
    path, mark, query = uri.partition("?")
    if not _VISIBLE.fullmatch(uri):
        raise BadAddressError("The address holds characters that must be encoded.")
    root = base_url + PREFIX
    target = path[len(root) :]
    if not path.startswith(root) or not target.startswith(OPEN):
        raise BadAddressError("The address is not one of Himalia's.")
    _check_inside(target)
    kept = [part for part in query.split("&") if unquote(part.partition("=")[0]) not in _CREDENTIALS]
    query = "&".join(kept)
    return target + (mark + query if query else "")


def _check_inside(path: str) -> None:
    """No step up, however it is written: encoded once or more often, or with backslashes."""
    for _ in range(8):
        if _FORBIDDEN.search(path):
            raise BadAddressError("The address holds a backslash or a control character.")
        if any(step in (".", "..") for step in path.split("/")):
            raise BadAddressError("The address holds a step up ('..') or a '.'.")
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded
    raise BadAddressError("The address is encoded too often.")


def request_headers(browser: Mapping[str, str]) -> dict[str, str]:
    """The headers that the service gets of the browser's. An allow-list: no cookie, no authorization, no origin."""
    return {name: browser[name] for name in _REQUEST_HEADERS if name in browser}


def response_headers(upstream: Iterable[tuple[str, str]], connection: str = "") -> list[tuple[str, str]]:
    """The headers of the service's answer that pass as they are; *connection* is its Connection header."""
    named = named_by(connection)
    return [
        (name, value)
        for name, value in upstream
        if name.lower() not in _DROPPED
        and name.lower() not in _OURS
        and name.lower() not in named
        and not name.lower().startswith("access-control-")
    ]


def location(value: str, asked: str, base_url: str) -> str | None:
    """Where a redirect of the service leads in the browser; None when that lies outside of what is forwarded.

    *asked* is the address that was asked for at the service.
    """
    there = urljoin(asked, value)
    origin, own = urlsplit(there), urlsplit(asked)
    if (origin.scheme, origin.netloc) != (own.scheme, own.netloc):
        return None
    rest = there[len(f"{origin.scheme}://{origin.netloc}") :]
    if not rest.startswith(OPEN):
        return None
    return base_url + PREFIX + rest
