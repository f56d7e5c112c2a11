"""Asking an endpoint on behalf of somebody who may see its project: the try-it form, without a token in the browser."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

from ..service.problems import Invalid, Unavailable
from .keys import new_token

TIMEOUT = 60.0
AT_ONCE = 4
"""Predictions tried at the same time: each holds a thread of the service while it waits."""
ANSWER_BYTES = 16 << 20


class Trial:
    """Asks the gateway with a key of the service's own, which lives as long as the service."""

    def __init__(self) -> None:
        self._token, digest = new_token()
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self.key: dict[str, Any] = {"id": "service", "sha256": digest, "expires_at": None}

    def ask(self, name: str, port: int, document: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the endpoint says of itself, or answers to *document*.

        Raises:
            Invalid: the gateway refused the document. Unavailable: it cannot answer now.
        """
        if not self._free.acquire(blocking=False):
            raise Unavailable(
                f"{AT_ONCE} predictions are being tried already.",
                hint="Try again in a few seconds. The endpoint's own address has no such limit.",
            )
        try:
            return self._ask(name, port, document)
        finally:
            self._free.release()

    def _ask(self, name: str, port: int, document: dict[str, Any] | None) -> dict[str, Any]:
        path = f"/endpoints/{name}" + ("/invocations" if document is not None else "")
        body = None if document is None else _body(document)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", port or 1, timeout=TIMEOUT)
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            reply = connection.getresponse()
            status, content = reply.status, reply.read(ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"The gateway does not answer: {error}.", hint="It is being started again; try again in a few seconds."
            ) from error
        finally:
            connection.close()
        if len(content) > ANSWER_BYTES:
            raise Invalid(f"The answer has more than {ANSWER_BYTES >> 20} MiB; ask with fewer rows.", field="body")
        answer = _json(content)
        if status == 200:
            return answer
        message = str(answer.get("message") or f"the gateway answered {status}")
        if status in (401, 404, 429, 502, 503, 504):
            # 401 and 404: the gateway has not read its newest config yet
            raise Unavailable(f"The endpoint {name!r} is not ready: {message}", hint="Try again in a few seconds.")
        raise Invalid(message, field="body")


def _body(document: dict[str, Any]) -> bytes:
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as error:
        raise Invalid(f"The document holds what JSON has no form for: {error}.", field="body") from error


def _json(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {"message": content[:300].decode(errors="replace")}
    return document if isinstance(document, dict) else {"predictions": document}
