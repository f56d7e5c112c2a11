"""Keeps the files of a complete logged model as they are (hole H3 of MLflow).

A model's files may be written until it is complete (READY). The proxy is the only way to MLflow, and runs on
one event loop; so it is enough to count here who writes and who completes: no upload can slip in between the
question "is it complete?" and the answer's use.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from himalia_server.tracking.inspection import MODEL_READY, RequestRefusedError

WAIT_SECONDS = 2.0
"""A client has the answer to its upload a moment before the upload is done here, and may complete the model at once."""

StatusOf = Callable[[str, str], Awaitable[str | None]]


class ModelGuard:
    """Writers and completions under way, by project and model id."""

    def __init__(self, status_of: StatusOf) -> None:
        self._status_of = status_of
        self._writers: Counter[tuple[str, str]] = Counter()
        self._completing: Counter[tuple[str, str]] = Counter()
        self._written: dict[tuple[str, str], asyncio.Event] = {}

    @asynccontextmanager
    async def writing(self, project: str, model_id: str) -> AsyncIterator[None]:
        """Hold while files of the model are written or deleted.

        Raises RequestRefusedError when the model is complete.
        """
        key = (project, model_id)
        if self._completing[key]:
            raise _complete(model_id)
        self._writers[key] += 1
        try:
            if await self._status_of(project, model_id) == MODEL_READY:
                raise _complete(model_id)
            yield
        finally:
            _release(self._writers, key)
            if not self._writers[key] and key in self._written:
                self._written.pop(key).set()

    @asynccontextmanager
    async def completing(self, project: str, model_id: str, reopens: bool) -> AsyncIterator[None]:
        """Hold while the model's status is changed.

        Raises RequestRefusedError: 409 while files are being written, also after WAIT_SECONDS; 403 when a complete
        model would be reopened.
        """
        key = (project, model_id)
        if self._writers[key]:
            written = self._written.setdefault(key, asyncio.Event())
            with suppress(TimeoutError):
                await asyncio.wait_for(written.wait(), WAIT_SECONDS)
        if self._writers[key]:
            raise RequestRefusedError(
                409, "RESOURCE_CONFLICT", f"Files of model {model_id} are still being written; try again."
            )
        self._completing[key] += 1
        try:
            if reopens and await self._status_of(project, model_id) == MODEL_READY:
                raise _complete(model_id)
            yield
        finally:
            _release(self._completing, key)


def _release(counter: Counter[tuple[str, str]], key: tuple[str, str]) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _complete(model_id: str) -> RequestRefusedError:
    return RequestRefusedError(
        403,
        "PERMISSION_DENIED",
        f"Model {model_id} is complete: its files and status no longer change. Log a new model instead.",
    )
