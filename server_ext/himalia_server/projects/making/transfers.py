"""Exports that are downloaded and imports that are uploaded: files of the site that live as long as the request."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from ...service.context import Context
from ...service.problems import Invalid, StorageFull, TooLarge
from ...service.site import private_folder
from ...store import Project
from .archive import RESERVE, Summary, export

UPLOAD_BYTES = 8 << 30
BLOCK = 1 << 20


class Transfers:
    """Temporary files for exports and imports; what a killed service has left is removed at the start."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def sweep(self) -> None:
        """Remove what a service before this one has left."""
        folder = self.context.site.home / "transfers"
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.stat().st_mtime < self.context.started_at:
                shutil.rmtree(path, ignore_errors=True)

    def folder(self) -> Path:
        """A new empty folder; whoever asks for it removes it."""
        return Path(tempfile.mkdtemp(dir=private_folder(self.context.site.home / "transfers")))

    def export(self, project: Project, *, data: bool, outputs: bool, limit: int) -> tuple[Path, Summary]:
        """An archive of a project, alone in a folder that the caller removes.

        Raises:
            Invalid: a file cannot be read, or the folder is gone.
        """
        source = Path(project.path)
        if not source.is_dir():
            raise Invalid(f"The folder {source} is gone.", hint="himalia project list says where it was looked for.")
        folder = self.folder()
        try:
            scratch = folder / "files"
            scratch.mkdir()
            target = folder / "project.zip"
            summary = export(source, project.slug, target, scratch, data=data, outputs=outputs, limit=limit)
            shutil.rmtree(scratch)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise Invalid(
                f"The project cannot be exported: {error}.", hint="Look at the rights of its files."
            ) from error
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return target, summary

    async def receive(self, blocks: AsyncIterator[bytes], told: int) -> tuple[Path, str]:
        """Write an upload to a file, alone in a folder that the caller removes; with its SHA-256 (hex).

        Raises:
            TooLarge: it has more than `UPLOAD_BYTES`. StorageFull: there is no room for it.
        """
        folder = await run_in_threadpool(self.folder)
        try:
            free = shutil.disk_usage(folder).free - RESERVE
            _require_room(told, free)
            size, sha, waiting = 0, hashlib.sha256(), bytearray()
            with (folder / "project.zip").open("wb") as file:

                def write() -> None:
                    sha.update(waiting)
                    file.write(waiting)
                    waiting.clear()

                async for block in blocks:
                    waiting += block
                    size += len(block)
                    _require_room(size, free)
                    if len(waiting) >= BLOCK:
                        await run_in_threadpool(write)
                await run_in_threadpool(write)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder / "project.zip", sha.hexdigest()


def _require_room(size: int, free: int) -> None:
    if size > UPLOAD_BYTES:
        raise TooLarge(
            f"The archive has more than {UPLOAD_BYTES >> 30} GiB.",
            hint="Export it without data (--no-data), and bring those another way.",
            field="body",
        )
    if size > free:
        raise StorageFull("There is no room for the archive.", hint="Free some space and try again.")
