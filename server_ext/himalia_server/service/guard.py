"""Watches over what the service stands on: the site's folder, the files in it, the sockets of its children, the clock.

Folders vanish: people remove them, systemd clears temporary ones and, at the end of a login, XDG_RUNTIME_DIR. What can
be made again is made again; without its database the service ends, with its children, instead of writing into files
that nobody will ever see.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from ..locking import try_lock
from .context import Context
from .problems import Unavailable
from .site import Site, write_private

log = logging.getLogger(__name__)
INTERVAL = 1.0
OWNER_LOOKS = 10
"""Only each so many looks the database is asked whether it is still ours."""
CLOCK_STEP = 30.0
"""Seconds by which the clock must have been set, or the machine have slept, to matter to tokens."""
DRAFT = re.compile(r"\.[^/]+\.[a-z0-9_]{8}|\.[0-9a-f]{12,16}|\..+\.part")
"""Names under which `write_private` and others write before they rename."""
OTHERS = (".site.json.", ".endpoint-")
"""Drafts that commands write too, perhaps at this moment."""
OLD = 3600.0


def sweep_drafts(site: Site) -> None:
    """Remove what a service that was killed had begun to write. Only for the holder of the site's lock."""
    folders = [site.home, *(site.home / name for name in ("tokens", "backups", "models"))]
    folders += (site.home / "clusters").iterdir()
    preparing = (site.home / "children" / "mlflow-prepare").exists()
    for folder in folders:
        for path in list(folder.iterdir()) if folder.is_dir() else []:
            if not DRAFT.fullmatch(path.name) or (preparing and path.name.startswith(".mlflow.db.")):
                continue
            if path.name.startswith(OTHERS) and time.time() - path.lstat().st_mtime < OLD:
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Guard:
    """Looks once a second, which costs some microseconds; a thread of its own.

    *lock*: the descriptor that holds the site's lock. *state*: the content of the state file. *ensure_user*: makes the
    account's token again. *end*: called when the service has nothing left to stand on.
    """

    def __init__(
        self, context: Context, lock: int, state: str, ensure_user: Callable[[], None], end: Callable[[], None]
    ) -> None:
        self.context, self.lock, self.state = context, lock, state
        self.ensure_user, self.end = ensure_user, end
        self.lost: str | None = None
        self._files = {path: _inode(path) for path in self._standing_on()}
        self._offset = time.time() - time.monotonic()
        context.require_place = self.require_place

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="guard", daemon=True).start()

    def require_place(self) -> None:
        """Refuse to acknowledge what was written to a file that is gone.

        Raises:
            Unavailable: it was.
        """
        if self.lost is None:
            for path, inode in self._files.items():
                if _inode(path) != inode:
                    self.lost = f"{path} was removed or replaced while the service ran."
        if self.lost is not None:
            raise Unavailable(
                f"{self.lost} Nothing can be kept any more, and the service ends.",
                hint="Put the folder back (himalia restore takes a backup), then himalia up.",
            )

    def _standing_on(self) -> list[Path]:
        """Files without which nothing can be kept: the SQLite database, or only the folder when it is elsewhere."""
        database = Path(self.context.database.name)
        return [database] if database.is_absolute() else [self.context.site.home]

    def _watch(self) -> None:
        number = 0
        while not self.context.stopping.wait(INTERVAL):
            number += 1
            try:
                self._look(ask_database=number % OWNER_LOOKS == 0)
            except Unavailable as error:
                self._give_up(error.detail)
                return
            except (OSError, DBAPIError):
                log.exception("what is missing could not be made again; it is tried again")

    def _look(self, *, ask_database: bool) -> None:
        self.require_place()
        site = self.context.site
        if not site.lock_file.exists():
            descriptor = try_lock(site.lock_file)
            if descriptor is None:
                raise Unavailable("Another service has taken the site's folder over.")
            log.warning("the site's lock file was removed; it is made again")
            self.lock = descriptor
        if ask_database and not self.context.database.own():
            raise Unavailable(f"Another service uses the database {self.context.database.name} now.")
        self._mend_files(site)
        self._mend_sockets()
        self._notice_clock()

    def _mend_files(self, site: Site) -> None:
        if not site.folders_exist():
            log.warning("folders of the site were removed; they are made again")
            site.prepare()
            self.context.due.set()
        if not site.state_file.exists() and not self.context.stopping.is_set():
            log.warning("the state file was removed; it is written again")
            write_private(site.state_file, self.state)
        if not site.user_token_file.exists() or not site.metrics_token_file.exists():
            log.warning("a token file was removed; a new token is made")
            self.ensure_user()
            self.context.due.set()  # those of kernels and stages lay beside it

    def _mend_sockets(self) -> None:
        for name in self.context.children.unreachable():
            log.warning("the socket of a child is gone; the child is started again", extra={"child": name})
            self.context.children.restart(name)

    def _notice_clock(self) -> None:
        offset = time.time() - time.monotonic()
        step = offset - self._offset
        if abs(step) > CLOCK_STEP:
            log.warning("the clock was set, or the machine slept", extra={"seconds": round(step)})
            self.context.due.set()
        self._offset = offset

    def _give_up(self, sentence: str) -> None:
        self.lost = sentence
        log.error("%s", sentence)
        self.end()
