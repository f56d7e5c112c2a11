"""Requests to the service, by the standard library alone."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from himalia._errors import HimaliaError, ServiceUnreachable

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
MAX_ANSWER_BYTES = 64 * 1024 * 1024
REQUEST_VARIABLE = "HIMALIA_REQUEST"
"""In a process that was started for a request, the id of that one; the service writes it into its log."""


@dataclass(frozen=True)
class Reply:
    """An answer: HTTP status, headers (names in lower case), body in bytes."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another address."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if urlsplit(url).hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))  # a proxy cannot reach this host's loopback
    return urllib.request.build_opener(*handlers)


def send(
    method: str,
    url: str,
    *,
    token: str | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Reply:
    """Send one request and return the answer, whatever its status.

    *body* is sent as JSON; *timeout* is in seconds for each wait on the socket. Raises OSError or
    http.client.HTTPException when no answer came, and ValueError for an address that is not http(s).
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"the service's address must start with http:// or https://, not {url!r}")
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    request.add_header("Accept", "application/json")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if os.environ.get(REQUEST_VARIABLE):
        request.add_header("X-Request-ID", os.environ[REQUEST_VARIABLE])
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with _opener(url).open(request, timeout=timeout) as answer:
            return Reply(answer.status, _lower(answer.headers), answer.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, _lower(error.headers), error.read(MAX_ANSWER_BYTES))
    except urllib.error.URLError as error:
        if isinstance(error.reason, OSError):
            raise error.reason from error
        raise


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def problem(reply: Reply) -> HimaliaError:
    """The error that a non-2xx answer stands for; reads problem+json where there is one."""
    try:
        document = json.loads(reply.content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        text = reply.content[:200].decode("utf-8", "replace").strip()
        return HimaliaError(reply.status, f"The service answered {reply.status}", text)
    title = str(document.get("title") or f"The service answered {reply.status}")
    detail = str(document.get("detail") or "")
    if document.get("field"):
        detail = f"{detail} (field {document['field']})".strip()
    return HimaliaError(reply.status, title, detail, str(document.get("hint") or ""))


def segment(name: str) -> str:
    """*name* as one segment of a path."""
    if name in {"", ".", ".."}:
        raise HimaliaError(None, f"{name!r} cannot be a name", hint="Give a name of letters, digits and hyphens.")
    return quote(name, safe="")


@dataclass
class Transport:
    """Requests to one service with the token of one file.

    The file is read for every request, because the service renews the token in it. While the service is starting
    (no connection, or 503), a request is repeated for at most *patience* seconds; an idempotency key keeps it from
    being done twice.
    """

    url: str
    token_file: Path
    patience: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The decoded JSON answer, or None when it is empty. Raises HimaliaError for anything but 2xx."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        deadline = self.clock() + self.patience
        pause = 0.1
        failure: HimaliaError
        while True:
            token = self._token()
            try:
                reply = send(method, self.url.rstrip("/") + path, token=token, body=body, headers=headers)
            except (ConnectionError, HTTPException) as error:
                # it starts, or was killed while it worked on this: what is sent again is not done again
                wait, failure = pause, self._unreachable(error)
            except OSError as error:
                raise self._unreachable(error) from error
            else:
                if reply.status == 401 and self._token() != token:
                    continue  # renewed between our reading the file and the service's looking at the token
                if reply.status != 503:
                    return _decode(reply)
                wait, failure = _retry_after(reply, pause), problem(reply)
            if self.clock() + wait > deadline:
                raise failure
            self.sleep(wait)
            pause = min(2 * pause, 2.0)

    def _token(self) -> str:
        try:
            return self.token_file.read_text("ascii").strip()
        except OSError as error:
            raise HimaliaError(
                None,
                "This kernel's token cannot be read",
                f"{self.token_file}: {error.strerror}",
                "The grant of this kernel may have ended: restart the kernel.",
            ) from error

    def _unreachable(self, error: Exception) -> ServiceUnreachable:
        return ServiceUnreachable(
            None,
            "The Himalia service cannot be reached",
            f"{self.url}: {error}",
            "Start it with `himalia up` in a terminal, or reload JupyterLab, then try again.",
        )


def _retry_after(reply: Reply, default: float) -> float:
    """Seconds the service asks to wait. Its date form is not used between us, so it counts as absent."""
    try:
        return max(0.05, float(reply.headers.get("retry-after", "")))
    except ValueError:
        return default


def _decode(reply: Reply) -> Any:
    if not 200 <= reply.status < 300:
        raise problem(reply)
    if not reply.content:
        return None
    try:
        return json.loads(reply.content)
    except ValueError as error:
        raise HimaliaError(reply.status, "The service's answer is not JSON", str(error)) from error
