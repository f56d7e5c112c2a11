"""Digests of files, remembered as long as nobody wrote to the file."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from .files import Tick, hash_rest, no_tick, open_plain, state_of
from .folders import Found
from .names import FILE, FileEntry, UnfitContent
from .spreading import Progress, spread

log = logging.getLogger(__name__)
T = TypeVar("T")
Row = tuple[str, bytes, str]
"""Path, state of the file, digest."""

FORMAT = 1
RACY_SECONDS = 2.0
"""A file written this shortly before it is hashed may be written again with the same times: FAT's are that coarse."""
KEPT_DAYS = 30
_DAY = 86_400
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA}
"""SQLITE_ERROR: a table is not as it should be."""


class Digests:
    """Remembers digests by path, device, inode, size, and times of the last change, in a SQLite file of its own.

    Losing the file costs only time: it is made anew when it is damaged, and where it cannot be used at all (the disk
    is full) files are hashed each time. Entries that were not asked for in 30 days are dropped. For several threads.

    Trusts the clocks of file servers to be right to `RACY_SECONDS`.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Nothing is opened before it is needed. *clock*: seconds since the epoch, as the file system's times."""
        self.file, self._clock = file, clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pruned = 0

    def of(self, path: Path) -> FileEntry:
        """Digest and size of a file.

        Raises:
            UnfitContent: not an ordinary file. OSError: it is not there, or cannot be read.
        """
        entry = self.of_many([path]).get(path)
        if entry is None:
            raise FileNotFoundError(f"{path} does not exist.")
        return entry

    def of_many(
        self,
        paths: Iterable[Path],
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> dict[Path, FileEntry]:
        """Digest and size of each file, in the order given; those that do not exist are left out.

        What is not known is hashed in parallel. *progress* is told bytes done and bytes in all of these alone.

        Raises:
            UnfitContent: one is not an ordinary file. OSError: one cannot be read.
            Cancelled: *cancelled* said so; what was hashed until then is remembered.
        """
        found: dict[Path, Found] = {}
        for path in paths:
            text = os.fspath(path)
            try:
                status = os.stat(text)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISREG(status.st_mode):
                raise UnfitContent(f"{path} is not an ordinary file.")
            found[path] = Found(text if text.startswith("/") else os.path.abspath(text), status)
        entries = self.of_found(list(found.values()), progress, cancelled)
        return {path: entry for path, entry in zip(found, entries, strict=True) if entry is not None}

    def of_found(
        self,
        files: Sequence[Found],
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[FileEntry | None]:
        """As `of_many`, of files that were looked at just now; None for one that went away since."""
        entries = self.recall(files)
        unknown = [index for index, entry in enumerate(entries) if entry is None]
        if not unknown:
            return entries
        rows: list[Row] = []

        def work(place: int, tick: Tick) -> None:
            index = unknown[place]
            try:
                entries[index], row = self.hashed(files[index].path, tick)
            except (FileNotFoundError, NotADirectoryError):
                return
            if row is not None:
                rows.append(row)

        try:
            spread([files[index].status.st_size for index in unknown], work, progress, cancelled)
        finally:
            self.remember(rows)
        return entries

    def hashed(self, path: str, tick: Tick = no_tick) -> tuple[FileEntry, Row | None]:
        """Digest and size of the bytes read now, and what `remember` may be told.

        None when the file was written to shortly before or meanwhile.
        """
        began = self._clock()
        source = open_plain(path)
        try:
            before = os.fstat(source)
            digest, size = hash_rest(source, tick)
            row = self.row(path, before, os.fstat(source), began, digest)
        finally:
            os.close(source)
        return FileEntry(digest, size), row

    def row(self, path: str, before: os.stat_result, after: os.stat_result, began: float, digest: str) -> Row | None:
        """What may be remembered of a file that was read from *began* on, and looked at before and after it."""
        state = state_of(before)
        if state != state_of(after) or is_racy(before, began):
            return None
        return path, state, digest

    def recall(self, files: Sequence[Found]) -> list[FileEntry | None]:
        """What is known of files in the state in which they were found; one query for all."""
        known: list[FileEntry | None] = [None] * len(files)
        if not files:
            return known
        today = int(self._clock()) // _DAY
        asked = json.dumps([file.path for file in files])

        def ask(connection: sqlite3.Connection) -> list[tuple[int, bytes, bytes, int]]:
            query = "SELECT a.key, d.state, d.digest, d.used FROM json_each(?) a JOIN digests d ON d.path = a.value"
            rows = connection.execute(query, (asked,)).fetchall()
            if any(row[3] != today for row in rows):
                with connection:
                    connection.execute(
                        "UPDATE digests SET used = ? WHERE used <> ? AND path IN (SELECT value FROM json_each(?))",
                        (today, today, asked),
                    )
            return rows

        none: list[tuple[int, bytes, bytes, int]] = []
        for index, state, digest, _used in self._do(ask, none):
            status = files[index].status
            if state == state_of(status):
                known[index] = FileEntry(FILE + digest.hex(), status.st_size)
        return known

    def remember(self, rows: Iterable[Row]) -> None:
        """Keep what `hashed` or `row` found, in one transaction."""
        today = int(self._clock()) // _DAY
        values = [
            (path, state, bytes.fromhex(digest.removeprefix(FILE)), today)
            for path, state, digest in rows
            # SQLite's texts are UTF-8; the few other names are hashed each time
            if path.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in path)
        ]
        if not values:
            return

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", values)
            if self._pruned != today:
                self._prune(connection, today)

        self._do(write, None)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            self._close()

    def _do(self, what: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Run a query; *otherwise* when the memory cannot be used, which must stop nobody."""
        with self._lock:
            for attempt in (1, 2):
                try:
                    return what(self._opened())
                except (sqlite3.Error, OSError) as error:
                    self._close()
                    if attempt == 1 and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                        log.warning("the memory of digests %s is damaged (%s) and made anew", self.file, error)
                        self._discard()
                    else:
                        log.warning("the memory of digests %s cannot be used: %s; files are hashed", self.file, error)
                        break
        return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(self.file, timeout=5, check_same_thread=False)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if connection.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                with connection:
                    connection.execute("DROP TABLE IF EXISTS digests")
                    connection.execute(
                        "CREATE TABLE digests (path TEXT PRIMARY KEY, state BLOB NOT NULL, digest BLOB NOT NULL, "
                        "used INTEGER NOT NULL) WITHOUT ROWID"
                    )
                    connection.execute(f"PRAGMA user_version = {FORMAT}")
            self._prune(connection, int(self._clock()) // _DAY)
        return self._connection

    def _prune(self, connection: sqlite3.Connection, today: int) -> None:
        with connection:
            connection.execute("DELETE FROM digests WHERE used < ?", (today - KEPT_DAYS,))
        self._pruned = today

    def _close(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _discard(self) -> None:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{self.file}{ending}").unlink(missing_ok=True)


def is_racy(status: os.stat_result, moment: float) -> bool:
    """Whether a file was changed so shortly before *moment* that a later change may leave the same times.

    The time of the change of status counts in the future too (the clock was set back); that of the bytes can be set
    by anyone, and a date far in the future says nothing.
    """
    return status.st_ctime > moment - RACY_SECONDS or abs(status.st_mtime - moment) <= RACY_SECONDS
