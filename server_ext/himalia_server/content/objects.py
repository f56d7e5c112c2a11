"""Objects: read-only files named by the SHA-256 of their bytes."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .files import digest_of, state_of
from .names import MissingContent, hex_of

MODE = 0o400
HARD_LINK_FAULTS = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
"""Errors after which a copy may do: another file system, too many links, none at all, not allowed."""


class Objects:
    """Files `objects/ab/cdef…` (0400). They appear by rename or link, whole; for several threads of one process.

    How long nobody has wanted an object is told by the time of its last change of status (ctime): putting it, putting
    it again (`renew`) and linking it set that time; its bytes' time (mtime) stays, so that a write can be seen.
    """

    def __init__(self, root: Path) -> None:
        """Makes the folders below *root*, and removes what a killed process had begun to write."""
        self.folder, self.incoming = root / "objects", root / "incoming"
        for folder in (self.folder, self.incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self.incoming.iterdir():
            left.unlink()
        self.lock = threading.Lock()
        """Held from the look at an object to what is done on it, so that none is collected in between."""
        self.ages = Ages()

    def place(self, digest: str) -> str:
        """Where an object lies, if it does. Raises ValueError: not a digest of ours."""
        name = hex_of(digest)
        return f"{self.folder}/{name[:2]}/{name[2:]}"

    def path(self, digest: str) -> str:
        """Where an object lies.

        Raises:
            ValueError: not a digest of ours. MissingContent: it is not here.
        """
        path = self.place(digest)
        if not os.path.exists(path):
            raise MissingContent(f"{digest} is not in the content store.")
        return path

    def draft(self) -> tuple[int, str]:
        """A new file to write an object to: descriptor and path."""
        self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have removed it
        return tempfile.mkstemp(dir=self.incoming)

    def adopt(self, draft: str, digest: str) -> None:
        """Make a file of *incoming* the object of that digest, or drop it when there is one."""
        target, size = self.place(digest), os.stat(draft).st_size
        with self.lock:
            if self._renewed(target, size):
                os.unlink(draft)
                return
            os.chmod(draft, MODE)
            try:
                os.replace(draft, target)
            except FileNotFoundError:
                os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
                os.replace(draft, target)

    def renew(self, digest: str, size: int | None = None) -> bool:
        """Make an object as young as if it were put now. False when it is not here.

        *size*: how many bytes it must have; one that has not (the machine lost power) is removed.
        """
        target = self.place(digest)
        with self.lock:
            return self._renewed(target, size)

    def _renewed(self, target: str, size: int | None) -> bool:
        self.ages.look()
        try:
            os.chmod(target, MODE)  # sets the ctime, even when it changes nothing else
            if size is None or os.stat(target).st_size == size:
                return True
            os.unlink(target)
        except FileNotFoundError:
            pass
        return False

    def verify(self, digest: str) -> None:
        """Hash an object; one whose bytes are not its name's is removed.

        Raises:
            MissingContent: it is not here, or was damaged.
        """
        path = self.path(digest)
        try:
            before = os.stat(path)
            whole = digest_of(Path(path)).endswith(hex_of(digest))
        except FileNotFoundError:
            raise MissingContent(f"{digest} is not in the content store.") from None
        if not whole:
            self.remove_damaged(digest, before)

    def remove_damaged(self, digest: str, seen: os.stat_result) -> None:
        """Take away an object that was *seen* damaged, unless it was replaced since.

        Raises:
            MissingContent: always.
        """
        path = self.place(digest)
        with self.lock:
            try:
                now = os.stat(path)
                if (now.st_dev, now.st_ino) == (seen.st_dev, seen.st_ino):
                    os.unlink(path)
            except FileNotFoundError:
                pass
        raise MissingContent(f"{digest} was damaged in the content store, and is removed from it.")

    def remove_old(self, path: str, before: float) -> int | None:
        """Remove an object that nobody wanted since *before*; its bytes, or None when somebody did."""
        with self.lock:
            try:
                status = os.stat(path)
            except FileNotFoundError:
                return None
            if status.st_ctime >= before:
                return None
            os.unlink(path)
            return status.st_size

    def link_in(self, source: str, descriptor: int, digest: str) -> bool:
        """Give a finished file a second name as an object. *descriptor*: of the file that was hashed.

        False when this file system, or the state of the file, makes a copy necessary.
        """
        seen = os.fstat(descriptor)
        self.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = f"{self.incoming}/{secrets.token_hex(8)}"
        try:
            os.link(source, draft, follow_symlinks=False)
        except OSError as error:
            if error.errno in HARD_LINK_FAULTS:
                return False
            raise
        try:
            status = os.stat(draft, follow_symlinks=False)
            # linking changed the ctime; all else must be what was hashed, and under no third name
            if (status.st_dev, status.st_ino) != (seen.st_dev, seen.st_ino) or status.st_nlink != 2:
                return False
            if state_of(status)[:-8] != state_of(seen)[:-8]:
                return False
            self.adopt(draft, digest)
            return True
        finally:
            if os.path.lexists(draft):
                os.unlink(draft)


class Ages:
    """What the time is when the age of an object shall be told, though the clock may have been set meanwhile.

    A clock that is set forward would make objects old that were put a moment ago. So time is counted from the
    earliest reading of the clock there was, by a clock that nobody sets; until the objects put under that reading are
    old by any measure.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] | None = None) -> None:
        self._wall, self._steady = wall, steady or _since_boot
        self._offset = self._wall() - self._steady()
        self._held = self._steady()

    def look(self) -> None:
        """Called whenever an object gets a new age."""
        steady = self._steady()
        offset = self._wall() - steady
        if offset <= self._offset + 1.0:  # it drifts a little
            self._offset, self._held = min(offset, self._offset), steady

    def now(self, older_than_s: float) -> float:
        """Seconds since the epoch. *older_than_s*: what counts as old."""
        self.look()
        if self._steady() - self._held > older_than_s:
            self._offset, self._held = self._wall() - self._steady(), self._steady()
        return self._steady() + self._offset


def _since_boot() -> float:
    """Goes on while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
