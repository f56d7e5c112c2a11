"""How files come into the store: copied, or by a second name."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from .digests import Digests, Row
from .files import Tick, has_writers, hash_rest, no_tick, open_plain, share, state_of
from .folders import Found, files_below
from .names import FileEntry, UnfitContent
from .objects import MODE, Objects

P = TypeVar("P", str, Path)
"""A path as the caller writes it: of thousands of them, texts cost less."""
Asked = Mapping[P, Mapping[str, Found]]
"""The files of each path by relative path; a file itself is named ""."""


def look(paths: Iterable[P]) -> dict[P, dict[str, Found]]:
    """The files of each path that exists.

    Raises:
        UnfitContent: a path, or something in a folder, cannot be kept. OSError: a folder cannot be read.
    """
    asked: dict[P, dict[str, Found]] = {}
    for path in paths:
        place = os.path.abspath(path)
        try:
            status = os.stat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if stat.S_ISDIR(status.st_mode):
            asked[path] = files_below(place)
        elif stat.S_ISREG(status.st_mode):
            asked[path] = {"": Found(place, status)}
        else:
            raise UnfitContent(f"{path} is neither an ordinary file nor a folder.")
    return asked


class Intake:
    """Puts single files into *objects*."""

    def __init__(self, objects: Objects, digests: Digests) -> None:
        self._objects, self._digests = objects, digests

    def copy(self, path: str, tick: Tick = no_tick) -> tuple[FileEntry, Row | None]:
        """Copy a file in and hash what was stored, in one reading; and what may be remembered of the source."""
        began = time.time()
        source = open_plain(path)
        draft = None
        try:
            before = os.fstat(source)
            descriptor, draft = self._objects.draft()
            try:
                if share(source, descriptor):
                    digest, size = hash_rest(descriptor, tick)
                else:
                    digest, size = hash_rest(source, tick, copy=descriptor)
            finally:
                os.close(descriptor)
            row = self._digests.row(path, before, os.fstat(source), began, digest)
            self._objects.adopt(draft, digest)
        except BaseException:
            if draft is not None:
                Path(draft).unlink(missing_ok=True)
            raise
        finally:
            os.close(source)
        return FileEntry(digest, size), row

    def take(self, path: str, tick: Tick = no_tick) -> FileEntry:
        """Make a finished file an object without copying where that is safe; it stays under its name too."""
        entry = None if os.path.islink(path) else self._link(path, tick)
        return self.copy(path, tick)[0] if entry is None else entry

    def _link(self, path: str, tick: Tick) -> FileEntry | None:
        source = open_plain(path)
        try:
            status = os.fstat(source)
            if status.st_dev != os.stat(self._objects.incoming).st_dev or status.st_uid != os.geteuid():
                return None
            if status.st_nlink == 1:
                os.fchmod(source, MODE)  # from now on nobody can begin to write
            elif stat.S_IMODE(status.st_mode) != MODE:
                return None  # not one that was taken before: it is somebody else's file too
            if has_writers(source):
                return None
            before = os.fstat(source)
            digest, size = hash_rest(source, tick)
            if state_of(before) != state_of(os.fstat(source)):
                tick(-size)
                return None
            if self._objects.renew(digest, size) or self._objects.link_in(path, source, digest):
                return FileEntry(digest, size)
            tick(-size)
            return None
        finally:
            os.close(source)
