"""Stages that run on workers of a cluster: what they are given over REST, and what they send back.

All of it is in the stage's folder, which its process on this machine (`himalia_kernels.on_cluster`) works in too, so
that a service that was killed loses nothing. Only the stage's own token opens it, only while the stage runs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from ..content import ContentStore, MissingContent
from ..service import tokens
from ..service.auth import Principal
from ..service.context import Context
from ..service.problems import Conflict, Forbidden, Invalid, NotFound, StorageFull
from ..store import StageRun
from .driving import LAYOUT, token_file
from .models import LogReply, StageClaim, StageOffer

BLOCK = 1 << 20
REMEMBERED = 16
"""Layouts of stages."""


class RemoteStages:
    """The logic of these routes. Thread-safe."""

    def __init__(self, context: Context, content: ContentStore) -> None:
        self.context, self.content = context, content
        self._lock = threading.Lock()
        self._layouts: dict[tuple[Path, int], frozenset[str]] = {}

    def claim(self, principal: Principal, run_id: str, stage: str, body: StageClaim) -> StageOffer:
        """Give an attempt to the task that asks first: Dask runs a task again by itself when its worker dies.

        Raises:
            Conflict: another one has it.
        """
        place = self._open(principal, run_id, stage)
        claim = place / "claim.json"
        if not claim.exists():
            try:
                # whoever takes the ticket away, we or the process that waits for the claim, has decided
                (place / f"ticket-{body.ticket}").rename(place / f"claimed-{body.ticket}")
            except FileNotFoundError:
                if not (place / f"claimed-{body.ticket}").exists():
                    raise Conflict("This attempt is not to be run any more.", hint="Nothing is left to do.") from None
            self._write_once(claim, body.model_dump_json())
        if json.loads(claim.read_text())["claimant"] != body.claimant:
            raise Conflict("Another task has begun with this attempt.", hint="Nothing is left to do.")
        layout = json.loads((place / LAYOUT).read_text())
        return StageOffer(
            spec=json.loads((place / "spec.json").read_text()),
            grant=json.loads((place / "grant.json").read_text()),
            files=layout["files"],
            folders=layout["folders"],
            runner=sys.executable,
            project=layout["project"],
        )

    @staticmethod
    def _write_once(path: Path, text: str) -> None:
        draft = path.with_name(f".{secrets.token_hex(8)}")
        draft.write_text(text)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # of another one, who reads who has it
        finally:
            draft.unlink()

    def object(self, principal: Principal, run_id: str, stage: str, digest: str) -> Path:
        """Where a file lies that belongs to what the stage is run with.

        Raises:
            NotFound: it is not part of it, or no longer kept.
        """
        place = self._open(principal, run_id, stage)
        if digest not in self._layout(place):
            raise NotFound("The stage is not run with this file.", hint="Ask for what its claim names.")
        try:
            return self.content.path(digest)
        except MissingContent as error:
            raise NotFound(str(error), hint="Run the pipeline again.") from error

    def _layout(self, place: Path) -> frozenset[str]:
        file = place / LAYOUT
        key = (file, file.stat().st_mtime_ns)
        with self._lock:
            known = self._layouts.get(key)
        if known is None:
            known = frozenset(json.loads(file.read_text())["files"].values())
            with self._lock:
                while len(self._layouts) >= REMEMBERED:
                    self._layouts.pop(next(iter(self._layouts)))
                self._layouts[key] = known
        return known

    async def upload(
        self, principal: Principal, run_id: str, stage: str, digest: str, blocks: AsyncIterator[bytes]
    ) -> None:
        """Take a file that the stage has made.

        Raises:
            Invalid: it is not what its digest says. StorageFull: there is no room for it.
        """
        place = await run_in_threadpool(self._open, principal, run_id, stage)
        await self._receive(place / "uploads" / digest.removeprefix("sha256:"), blocks, digest)

    async def notebook(self, principal: Principal, run_id: str, stage: str, blocks: AsyncIterator[bytes]) -> None:
        """Take the notebook, as far as it is executed."""
        place = await run_in_threadpool(self._open, principal, run_id, stage)
        await self._receive(place / "executed.ipynb", blocks, None)

    async def _receive(self, target: Path, blocks: AsyncIterator[bytes], digest: str | None) -> None:
        sha, waiting = hashlib.sha256(), bytearray()
        draft = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            await run_in_threadpool(target.parent.mkdir, mode=0o700, exist_ok=True)
            with draft.open("xb") as file:

                def write() -> None:
                    sha.update(waiting)
                    file.write(waiting)
                    waiting.clear()

                async for block in blocks:
                    waiting += block
                    if len(waiting) >= BLOCK:
                        await run_in_threadpool(write)
                await run_in_threadpool(write)
            if digest is not None and digest != f"sha256:{sha.hexdigest()}":
                raise Invalid("The file is not what its digest says.", hint="Send it again.", field="digest")
            await run_in_threadpool(draft.replace, target)
        except FileNotFoundError as error:
            raise _ended() from error  # its folder was removed meanwhile
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("There is no room for the file.", hint="Free some space and try again.") from error
            raise
        finally:
            draft.unlink(missing_ok=True)

    async def add_log(
        self, principal: Principal, run_id: str, stage: str, offset: int, blocks: AsyncIterator[bytes]
    ) -> LogReply:
        """Take what the stage printed, from *offset* of all that it printed; what is known already is passed over."""
        data = b"".join([block async for block in blocks])
        return await run_in_threadpool(self._add_log, principal, run_id, stage, offset, data)

    def _add_log(self, principal: Principal, run_id: str, stage: str, offset: int, data: bytes) -> LogReply:
        place = self._open(principal, run_id, stage)
        # who tells of its work has what it is run with; secrets lie here no longer than that takes
        (place / "grant.json").unlink(missing_ok=True)
        with self._lock, (place / "remote.log").open("ab") as file:
            size = file.tell()
            if offset > size:
                data = b""  # a part before it did not arrive: the reply says from where on it is wanted
            file.write(data[size - offset :])
        newest = token_file(self.context.site, run_id, stage).read_text().strip()
        size = (place / "remote.log").stat().st_size
        with self.context.database.read() as session:
            row = tokens.find(session, newest)
        renewed = row is not None and row.id != principal.token_id
        return LogReply(size=size, token=newest if renewed else None)

    def _open(self, principal: Principal, run_id: str, stage: str) -> Path:
        """The folder of a stage that runs on a worker.

        Raises:
            Forbidden: the token is not this stage's. NotFound: it does not run, or not on a worker.
        """
        if (principal.run_id, principal.stage) != (run_id, stage):
            raise Forbidden("Only the stage itself does this.", hint="Read its results: GET the run.")
        place = self.context.site.home / "runs" / run_id / stage
        with self.context.database.read() as session:
            row = session.get(StageRun, (run_id, stage))
        if row is None or row.status != "running" or not (place / LAYOUT).exists():
            raise _ended()
        return place


def _ended() -> NotFound:
    return NotFound("The stage does not run on a worker (any more).", hint="Nothing is left to do.")


def takes_files(path: str) -> bool:
    """Whether the body of a request to *path* may be as large as the disk."""
    parts: list[Any] = path.split("/")
    # /api/v1/projects/{slug}/runs/{run}/stages/{stage}/…
    below = len(parts) >= 10 and (parts[3], parts[5], parts[7]) == ("projects", "runs", "stages")
    return below and (parts[9] == "uploads" or parts[9:] == ["notebook"])
