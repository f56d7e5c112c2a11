"""What the gateway answers: addresses, credentials, and the way from a request to a replica."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from himalia_server.gateway.config import Limits
from himalia_server.gateway.counts import Counts
from himalia_server.gateway.exchange import Exchange, error_body
from himalia_server.gateway.inputs import ContentTypeError, check_content_type
from himalia_server.gateway.keys import Access
from himalia_server.gateway.lane import Waiting
from himalia_server.gateway.router import Endpoint, Router

PROBES = ("/health", "/ready")
UNAUTHENTICATED = "A valid deployment token is needed: send the header 'Authorization: Bearer <token>'."


class GatewayApplication:
    """Answers HTTP requests with the help of a `Router`."""

    def __init__(self, router: Router, counts: Counts) -> None:
        self._router = router
        self._counts = counts

    @property
    def limits(self) -> Limits:
        """The limits that are in force now."""
        return self._router.limits

    def begin(self, exchange: Exchange) -> None:
        """Check address, credential and content type before the body is read."""
        path = _path(exchange.path)
        if path in PROBES:
            self._allow(exchange, "GET", "HEAD")
            return
        name, action = _parts(path)
        access = self._router.keys.check(exchange.headers.get("authorization"), name)
        if access is Access.DENIED:
            challenge = ("WWW-Authenticate", 'Bearer realm="deployment"')
            self._refuse(exchange, 401, "UNAUTHENTICATED", UNAUTHENTICATED, challenge)
        elif access is Access.OTHER or action is None:
            self._refuse(exchange, 404, "RESOURCE_DOES_NOT_EXIST", "There is nothing at this address.")
        elif action == "":
            self._allow(exchange, "GET", "HEAD")
        else:
            self._count(exchange, name)
            if not self._allow(exchange, "POST"):
                return
            try:
                check_content_type(exchange.headers.get("content-type"))
            except ContentTypeError as error:
                self._refuse(exchange, 415, "BAD_REQUEST", str(error))

    def _count(self, exchange: Exchange, name: str | None) -> None:
        assert name is not None
        clock = asyncio.get_running_loop().time
        began = clock()
        exchange.on_answered = lambda status: self._counts.add(name, status, clock() - began)

    def complete(self, exchange: Exchange) -> None:
        """Answer a request that `begin` let through."""
        path = _path(exchange.path)
        if path == "/health":
            exchange.respond(200, b'{"status":"ok"}')
        elif path == "/ready":
            if self._router.ready:
                exchange.respond(200, b'{"status":"ok"}')
            else:
                exchange.respond(503, b'{"status":"starting"}', (("Retry-After", "1"),))
        else:
            name, action = _parts(path)
            assert name is not None
            if action == "":
                self._describe(exchange, name)
            else:
                self._invoke(exchange, name)

    def _invoke(self, exchange: Exchange, name: str) -> None:
        body = exchange.body[0] if len(exchange.body) == 1 else b"".join(exchange.body)
        exchange.body.clear()
        deadline = asyncio.get_running_loop().time() + self.limits.deadline_seconds
        waiting = Waiting(exchange, body, exchange.headers.get("content-type"), deadline)
        exchange.on_abandoned = waiting.abandon
        self._router.submit(name, waiting)

    def _describe(self, exchange: Exchange, name: str) -> None:
        endpoint = self._router.endpoints.get(name)
        if endpoint is None:  # removed between the request's head and its end
            exchange.fail(404, "RESOURCE_DOES_NOT_EXIST", "There is nothing at this address.")
            return
        exchange.respond(200, orjson.dumps(_description(endpoint)))

    def _allow(self, exchange: Exchange, *methods: str) -> bool:
        if exchange.method in methods:
            return True
        message = f"The method {exchange.method} is not allowed here; use {methods[0]}."
        self._refuse(exchange, 405, "BAD_REQUEST", message, ("Allow", ", ".join(methods)))
        return False

    def _refuse(self, exchange: Exchange, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        exchange.refused = (status, error_body(code, message), headers)


def _description(endpoint: Endpoint) -> dict[str, Any]:
    """What a try-it form needs: the revision that gets most requests, its model, an example row."""
    revision, described = endpoint.main()
    described = described or {}
    return {
        "name": endpoint.name,
        "revision": revision,
        "revisions": list(endpoint.described),
        "model": described.get("model"),
        "signature": described.get("signature"),
        "example": described.get("example"),
    }


def _path(target: str) -> str:
    """Return the decoded path of a request target."""
    if target.startswith("/") and "?" not in target and "%" not in target:
        return target
    try:
        return unquote(urlsplit(target).path, errors="replace")
    except ValueError:
        return ""


def _parts(path: str) -> tuple[str | None, str | None]:
    """Split ``/endpoints/<name>[/invocations]`` into name and action (``""`` or ``invocations``).

    The action is None for an address that does not exist.
    """
    parts = path.split("/")
    if len(parts) < 3 or parts[:2] != ["", "endpoints"] or not parts[2]:
        return None, None
    action = "/".join(parts[3:])
    return parts[2], action if action in ("", "invocations") and path[-1] != "/" else None
