"""One HTTP request and its response."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

import orjson

SAFE_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Exchange:
    """A request, from its head until its response; responses leave in the order of the requests."""

    __slots__ = (
        "_finished",
        "body",
        "close",
        "headers",
        "keep_alive_1_0",
        "method",
        "on_abandoned",
        "on_answered",
        "path",
        "refused",
        "request_id",
        "response",
    )

    def __init__(self, finished: Callable[[], None]) -> None:
        """*finished* is called once, when the response is there."""
        self.method = ""
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.request_id = ""
        self.response: bytes | None = None
        self.close = False
        self.keep_alive_1_0 = False
        self.refused: tuple[int, bytes, tuple[tuple[str, str], ...]] | None = None
        self.on_abandoned: Callable[[], None] | None = None
        self.on_answered: Callable[[int], None] | None = None
        self._finished = finished

    def identify(self) -> None:
        """Take the client's request id when it is harmless, else make one."""
        given = self.headers.get("x-request-id", "")
        self.request_id = given if SAFE_ID.fullmatch(given) else os.urandom(12).hex()

    def respond(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Finish with a JSON *body*; for HEAD its length is told, and it is left out."""
        if self.response is not None:
            return
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        connection = ""
        if self.close:
            connection = "Connection: close\r\n"
        elif self.keep_alive_1_0:
            connection = "Connection: keep-alive\r\n"
        head = (
            f"Date: {_date(int(time.time()))}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {self.request_id}\r\n{extra}{connection}\r\n"
        )
        sent = b"" if self.method == "HEAD" else body
        self.response = b"".join((STATUS_LINES[status], head.encode("latin-1"), sent))
        if self.on_answered is not None:
            self.on_answered(status)
        self._finished()

    def fail(self, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        """Finish with an error in MLflow's form."""
        self.respond(status, error_body(code, message), headers)

    def refuse(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        """Finish with an error of the gateway (`himalia_server.gateway.lane.Asker`)."""
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        self.fail(status, code, message, *headers)

    def answer(self, ok: bool, content: bytes, revision: str) -> None:
        """Finish with a replica's JSON (`himalia_server.gateway.lane.Asker`)."""
        headers = (("X-Himalia-Revision", revision),)
        if ok:
            self.respond(200, b'{"predictions":' + content + b"}", headers)
        else:
            self.respond(400, content, headers)

    def abandoned(self) -> None:
        """The client has gone: nobody waits for the answer any more."""
        if self.response is None and self.on_abandoned is not None:
            self.on_abandoned()


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def error_body(code: str, message: str) -> bytes:
    """Return an error in MLflow's form."""
    try:
        return orjson.dumps({"error_code": code, "message": message})
    except TypeError:  # lone surrogates out of a client's own text
        return orjson.dumps({"error_code": code, "message": message.encode("ascii", "replace").decode()})
