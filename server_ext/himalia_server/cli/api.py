"""The command line's way to the service: finds or starts it, asks, and goes on when it was killed in between."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from ..service import lifecycle
from ..service.lifecycle import Found, ServiceError
from ..service.site import Site, SiteError
from .lean_http import httpx, local_client
from .output import Failure

RECONNECTS = 5
PATIENCE = 90.0
"""Seconds to wait for a part that is starting."""
SUCCESSOR = 3.0
"""Seconds in which a service that was stopped only to be replaced has a successor on its way."""
EXIT_CODES = {400: 2, 422: 2, 401: 3, 403: 3, 404: 4, 409: 5}
"""Exit code of the command by the status of the reply."""


class Refused(Failure):
    """The service answered with a problem."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(
            str(problem.get("detail") or problem.get("title")), problem.get("hint"), EXIT_CODES.get(status, 1)
        )
        self.status, self.problem = status, problem

    @classmethod
    def by(cls, reply: httpx.Response) -> Refused:
        """From a reply that is no success, whatever it holds."""
        try:
            problem = dict(reply.json())
        except (ValueError, TypeError):
            problem = {"detail": f"The service answered {reply.status_code}."}
        return cls(reply.status_code, problem)


def open_site() -> Site:
    """The site of this environment."""
    try:
        return Site.open()
    except SiteError as error:
        raise Failure(str(error)) from error


def connect(*, start: bool = True) -> Api:
    """The service's API; *start* starts it when there is none."""
    site = open_site()
    try:
        found = lifecycle.ensure_running(site) if start else lifecycle.find(site)
    except (ServiceError, SiteError, OSError) as error:
        raise Failure(str(error)) from error
    if found is None:
        raise Failure("The service does not run.", "himalia up")
    return Api(site, found)


def at(*parts: str) -> str:
    """A path of the API from its parts, which may hold anything but nothing at all.

    Raises:
        Failure: a part is empty.
    """
    if not all(parts):
        raise Failure("A name is empty.", code=2)
    if any(part in (".", "..") for part in parts):
        raise Failure("'.' and '..' are no names.", code=2)
    try:
        return "".join("/" + quote(part, safe="") for part in parts)
    except UnicodeEncodeError as error:
        raise Failure("A name holds bytes that are no text.", code=2) from error


class Api:
    """Requests with the OS account's token."""

    def __init__(self, site: Site, found: Found) -> None:
        self.site, self.found = site, found
        self.request_id = secrets.token_hex(8)
        """Of all that one command asks for; `himalia logs --request` finds what came of it."""
        self.on_wait: Callable[[str], None] = lambda _why: None
        self.http = local_client(seconds=120, connect=5)

    def get(self, path: str, **params: Any) -> Any:
        """GET; decoded JSON."""
        return self.request("GET", path, params=params or None)

    def items(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        cursor: Any = None
        while True:
            page = self.get(path, **params, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if cursor is None:
                return

    def post(self, path: str, body: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        """POST; decoded JSON. Sent again when the service was killed meanwhile: its key makes that harmless."""
        return self.request("POST", path, json=body or {}, headers={"Idempotency-Key": uuid.uuid4().hex}, **kwargs)

    @contextmanager
    def stream(self, method: str, path: str, **kwargs: Any) -> Iterator[httpx.Response]:
        """The reply while it comes, whatever its status.

        Raises:
            Failure: the service went away.
        """
        try:
            with self.http.stream(method, self._url(path), headers=self._headers(), **kwargs) as reply:
                yield reply
        except httpx.TransportError as error:
            raise Failure(f"The service went away meanwhile: {error}.", "Run the command again.") from error

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        """One request. When the service was killed it is started again and asked once more; while a part of it
        is starting (503) it is asked again for up to `PATIENCE` seconds.

        Raises:
            Refused: the service answered with a problem. Failure: it cannot be reached or started.
        """
        deadline = time.monotonic() + PATIENCE
        while (reply := self.send(method, path, **kwargs)).status_code == 503 and time.monotonic() < deadline:
            self.on_wait(str(reply.json().get("detail", "waiting")))
            time.sleep(0.5)
        if not reply.is_success:
            raise Refused.by(reply)
        return reply.json() if reply.content else None

    def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """The reply as it came, whatever its status.

        What was surely not received, only reads, or has an idempotency key is sent again once the service is back.
        """
        more = kwargs.pop("headers", {})
        for attempt in range(RECONNECTS):
            try:
                return self.http.request(method, self._url(path), headers=self._headers() | more, **kwargs)
            except httpx.TransportError as error:
                if attempt == RECONNECTS - 1:
                    raise Failure(f"The service does not answer: {error}.", "himalia doctor") from error
                self.reconnect()
                if method == "POST" and not more and not isinstance(error, httpx.ConnectError):
                    raise Failure(
                        "The service went away while it worked on this; it runs again now.",
                        "Look whether it was done (himalia status), then run the command again.",
                    ) from error
            except (TypeError, ValueError) as error:
                raise Failure(f"This cannot be sent: {error}.", code=2) from error
        raise AssertionError("unreachable")

    def reconnect(self) -> None:
        """Find the service again, or start it when it was killed.

        Raises:
            Failure: it cannot be started, or was stopped on purpose: what a person ends, no command brings back that
                they had begun before.
        """
        time.sleep(0.2)
        deadline = time.monotonic() + SUCCESSOR
        while lifecycle.stopped(self.site) and not lifecycle.starting(self.site):
            if self.found.identity.alive():
                deadline = time.monotonic() + SUCCESSOR  # it is still ending what it had started
            elif time.monotonic() > deadline:
                raise Failure(
                    "The service was stopped while this command worked, so the command ends here.",
                    "himalia up, then run the command again.",
                )
            time.sleep(0.1)
        try:
            self.found = lifecycle.ensure_running(self.site)
        except (ServiceError, SiteError, OSError) as error:
            raise Failure(str(error)) from error

    def events(self, after: int) -> Iterator[dict[str, Any]]:
        """Events from number *after* on, for ever, over restarts of the service."""
        while True:
            try:
                with self.http.stream(
                    "GET", self._url("/events"), headers=self._headers(), params={"after": after}, timeout=60
                ) as reply:
                    if reply.status_code != 200:
                        reply.read()
                        raise Refused.by(reply)
                    for line in reply.iter_lines():
                        if line.startswith("data: ") and len(line) > len("data: {}"):
                            event = json.loads(line[6:])
                            after = event["seq"]
                            yield event
            except httpx.TransportError:
                pass  # the service went away: it is started again, and the events go on where they were
            self.reconnect()
            yield {"topic": "reconnected", "data": {}, "seq": after, "subject": None}

    def blocks(self, path: str, **params: Any) -> Iterator[bytes]:
        """A text that grows, from its byte `offset` on, to its end; over restarts of the service."""
        place = int(params.pop("offset", 0))
        while True:
            try:
                url, asked = self._url(path), params | {"offset": place}
                with self.http.stream("GET", url, headers=self._headers(), params=asked, timeout=60) as reply:
                    if not reply.is_success:
                        reply.read()
                        raise Refused.by(reply)
                    for block in reply.iter_bytes():
                        place += len(block)
                        yield block
                    return
            except httpx.TransportError:
                self.reconnect()

    def _url(self, path: str) -> str:
        return f"{self.found.address}/api/v1{path}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.found.token()}", "X-Request-ID": self.request_id}
