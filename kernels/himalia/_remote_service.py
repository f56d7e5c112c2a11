"""The service as a stage on a worker sees it: requests that wait for it while it is away, files by digest."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from himalia._http import Reply, _opener, problem, send

T = TypeVar("T")
BLOCK = 1 << 20
SECONDS = 60.0
LONGEST_PAUSE = 5.0
ENDING_TRIES = 5
"""How often something is tried of a stage that is to end."""


class Refused(Exception):
    """The service does not take (or give) this; what it says is for a person."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(problem(reply)))
        self.status = reply.status


class Away(Exception):
    """The service does not answer, and the stage is to end."""


class Service:
    """Requests below *url*, the stage's own address. *ending* is set when the stage is to end: then nothing waits long.

    Thread-safe. `token` may be replaced at any time.
    """

    def __init__(self, url: str, token: str, ending: threading.Event) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError(f"the service's address must start with http:// or https://, not {url!r}")
        self.url, self.token, self._ending = url, token, ending

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer. Raises Refused, Away."""
        return self._patient(lambda: send(method, self.url + path, token=self.token, body=body, timeout=SECONDS))

    def fetch(self, digest: str, target: Path) -> None:
        """Write a file of the content store to *target*, whole. Raises Refused, Away; OSError: the disk is full."""
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name[:100]}.part")

        def work() -> Reply:
            sha = hashlib.sha256()
            with self._open("GET", f"/objects/{digest}") as answer:
                # a fault of this machine's disk is no reason to ask again
                try:
                    file = draft.open("wb")
                except OSError as error:
                    raise _Disk(error) from error
                with file:
                    while block := answer.read(BLOCK):
                        sha.update(block)
                        try:
                            file.write(block)
                        except OSError as error:
                            raise _Disk(error) from error
            if digest != f"sha256:{sha.hexdigest()}":
                raise HTTPException(f"{target.name} did not arrive whole")
            return Reply(200, {}, b"")

        try:
            self._patient(work)
            draft.replace(target)
        except _Disk as fault:
            raise fault.error from fault
        finally:
            draft.unlink(missing_ok=True)

    def upload(self, path: Path) -> str:
        """Send a file, whatever its size; returns its digest. Raises Refused, Away; OSError: it cannot be read."""
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        self.put(f"/uploads/{digest}", path)
        return digest

    def put(self, where: str, path: Path) -> None:
        """Send a file to *where*, below the stage's address."""

        def work() -> Reply:
            with path.open("rb") as file:
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
                with self._open("PUT", where, file, headers) as answer:
                    return Reply(answer.status, {}, answer.read())

        self._patient(work)

    def append(self, where: str, data: bytes) -> Any:
        """Send bytes once, without patience: the decoded answer. Raises Refused; OSError, HTTPException: none came."""
        try:
            with self._open("POST", where, data, {"Content-Type": "application/octet-stream"}) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise Refused(_reply_of(error)) from error

    def _open(self, method: str, where: str, data: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        request = urllib.request.Request(self.url + where, method=method, data=data, headers=dict(headers or {}))
        request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        return _opener(self.url).open(request, timeout=SECONDS)

    def _patient(self, work: Callable[[], Reply]) -> Any:
        """Do it again while the service is away: it may have been killed, and the next one goes on with the run."""
        pause, tries = 0.1, 0
        while True:
            try:
                reply = work()
            except urllib.error.HTTPError as error:
                reply = _reply_of(error)
            except (OSError, HTTPException) as error:
                if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
                    raise
                reply, why = Reply(503, {}, b""), str(error)
            else:
                why = "it answered 503"
            if reply.status < 300:
                with suppress(ValueError):
                    return json.loads(reply.content) if reply.content else None
                return None
            if reply.status != 503:
                raise Refused(reply)
            tries += 1
            if self._ending.is_set() and tries >= ENDING_TRIES:
                raise Away(f"The Himalia service does not answer at {self.url}: {why}")
            self._ending.wait(pause) if not self._ending.is_set() else threading.Event().wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class _Disk(Exception):
    """Carries a fault of this machine's disk past the loop that waits for the service."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _reply_of(error: urllib.error.HTTPError) -> Reply:
    with error:
        return Reply(error.code, {}, error.read(BLOCK))
