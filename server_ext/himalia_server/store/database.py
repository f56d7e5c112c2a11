"""Engine and sessions: SQLite in WAL with one writer, or any SQLAlchemy URL."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.orm import Session

from ..locking import exclusive

MIGRATIONS = Path(__file__).with_name("migrations")
HEAD = "0001"
"""The newest revision in `migrations/versions`; a test holds it there."""

NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "fuse.sshfs",
    "9p",
    "lustre",
    "beegfs",
    "ceph",
}


class StoreRefused(RuntimeError):
    """The store cannot be used as configured; the text says what to do."""


class SchemaTooNew(StoreRefused):
    """The database was written by a newer Himalia."""


def file_system_type(path: Path) -> str:
    """The type of the file system that holds *path* ("ext4", "nfs4", …), or "" where the OS does not tell."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    best, kind = "", ""
    target = str(path.resolve())
    for line in mounts.read_text().splitlines():
        _, point, fs, *_ = line.split()
        point = point.replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fs
    return kind


class Database:
    """Sessions over one database.

    Thread-safe: `read()` and `write()` may be called from any thread. Writers are serialised in this process by
    a lock and begin at once (`BEGIN IMMEDIATE`), so that SQLite never fails an upgrade of a read lock. Callers own
    no session beyond the `with` block.
    """

    def __init__(self, path: Path) -> None:
        kind = file_system_type(path.parent)
        if kind in NETWORK_FILE_SYSTEMS:
            raise StoreRefused(
                f"{path.parent} lies on a network file system ({kind}), where SQLite can lose data. "
                "Set HIMALIA_HOME to a folder on a local disk."
            )
        self.path = path
        self._write_lock = threading.RLock()
        self.engine: Engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        event.listen(self.engine, "connect", _on_connect)
        event.listen(self.engine, "begin", _on_begin)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; what it changes is dropped."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session for writing; committed at the end of the block, rolled back when it raises."""
        with self._write_lock, Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"himalia_write": True})
            yield session
            session.commit()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def revision(self) -> str | None:
        """The schema revision the database is at; None for an empty database."""
        if not inspect(self.engine).has_table("alembic_version"):
            return None
        with self.engine.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

    def migrate(self) -> str | None:
        """Bring the schema to HEAD under a lock, after a backup of what was there.

        Returns the backup's path when one was made.

        Raises:
            SchemaTooNew: the database was written by a newer Himalia; nothing is changed.
        """
        with exclusive(self.path.with_suffix(".migrate.lock"), timeout=120):
            current = self.revision()
            if current == HEAD:
                return None
            if current is not None and current not in _known_revisions():
                raise SchemaTooNew(
                    f"{self.path} has schema {current}, which this Himalia (schema {HEAD}) does not know: a newer "
                    "Himalia wrote it. Upgrade Himalia (pip install -U himalia), or restore an older backup."
                )
            backup = self._backup(current) if current is not None else None
            self._upgrade()
            return backup

    def _backup(self, revision: str) -> str:
        target = self.path.with_suffix(f".backup-{revision}-{time.strftime('%Y%m%dT%H%M%S')}.db")
        source = sqlite3.connect(self.path)
        copy = sqlite3.connect(target)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
        shutil.copymode(self.path, target)
        return str(target)

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()


def _known_revisions() -> set[str]:
    return {path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _on_connect(connection: Any, _record: Any) -> None:
    # SQLAlchemy, not the driver, decides when a transaction begins
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()


def _on_begin(connection: Any) -> None:
    write = connection.get_execution_options().get("himalia_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
