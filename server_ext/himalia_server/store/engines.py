"""What differs between SQLite and PostgreSQL: how to connect, to serialise writers, to lock a migration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import from_json
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session

from ..locking import LockTimeout, acquire

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
MOUNTS = Path("/proc/mounts")
MIGRATION_SECONDS = 120.0
MIGRATING = "Another process has been migrating {} for two minutes. Wait for its end, or stop it, then start again."
PATIENCE, SHORT_PATIENCE = 30_000, 500
"""Milliseconds that a writer waits while another process has SQLite's lock; and once one has waited in vain."""
CONNECTIONS = 8
"""Kept open to a database."""
MORE_CONNECTIONS = 56
"""Opened besides while many threads read at once; above that, readers wait for each other."""
WRITE_LOCK, MIGRATE_LOCK, OWNER_LOCK = (0x48694D61_00000000 + number for number in (1, 2, 3))
"""Keys of PostgreSQL's advisory locks ("HiMa" in their upper half); other programs of the database have others."""


class StoreRefused(RuntimeError):
    """The store cannot be used as configured; the text says what to do."""


def read_json(text: str | bytes) -> Any:
    """The value of a JSON column. pydantic's reader is some six times faster, and refuses halves of surrogate pairs."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


class Dialect(Protocol):
    """One kind of database. Thread-safe as its engine is."""

    engine: Engine
    name: str
    """What a person calls it; holds no password."""

    def serialise(self, session: Session) -> None:
        """Begin a writing transaction: no other process writes until it ends."""

    def migration_lock(self) -> AbstractContextManager[None]:
        """Hold off whoever else would migrate."""

    def own(self) -> bool:
        """Become the one service of the database, until `close`; false when another one is."""

    def close(self) -> None:
        """Close all connections."""


def file_system_type(path: Path) -> str:
    """The type of the file system that holds *path* ("ext4", "nfs4", …), or "" where the OS does not tell."""
    if not MOUNTS.exists():
        return ""
    best, kind = "", ""
    target = str(path.resolve())
    for line in MOUNTS.read_text().splitlines():
        _, point, fs, *_ = line.split()
        point = point.replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fs
    return kind


class Sqlite:
    """A file in WAL mode on a local disk. Its one service holds the lock of the site's folder."""

    def __init__(self, path: Path) -> None:
        kind = file_system_type(path.parent)
        if kind in NETWORK_FILE_SYSTEMS:
            raise StoreRefused(
                f"{path.parent} lies on a network file system ({kind}), where SQLite can lose data. Set HIMALIA_HOME "
                'to a folder on a local disk, or use PostgreSQL: url = "postgresql://…" under [database] in '
                "settings.toml."
            )
        self.path, self.name = path, str(path)
        self._patience = PATIENCE
        self.engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": 30},
            json_deserializer=read_json,
            pool_size=CONNECTIONS,
            max_overflow=MORE_CONNECTIONS,
        )
        event.listen(self.engine, "connect", _on_connect)
        event.listen(self.engine, "begin", self._begin)

    def _begin(self, connection: Any) -> None:
        if not connection.get_execution_options().get("himalia_write", False):
            connection.exec_driver_sql("BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={self._patience}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError:
            self._patience = SHORT_PATIENCE  # those who wait behind this one would else do so one after the other
            raise
        self._patience = PATIENCE

    def serialise(self, session: Session) -> None:
        # at once, because SQLite fails the upgrade of a read lock
        session.connection(execution_options={"himalia_write": True})

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        try:
            lock = acquire(self.path.with_suffix(".migrate.lock"), MIGRATION_SECONDS)
        except LockTimeout as error:
            raise StoreRefused(MIGRATING.format(self.name)) from error
        try:
            # ours alone from its first byte, and with it the log beside it
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            yield
        finally:
            os.close(lock)

    def own(self) -> bool:
        return True

    def close(self) -> None:
        self.engine.dispose()


class Postgresql:
    """A PostgreSQL database. Writers of all processes are serialised by an advisory lock, as SQLite's are by its
    own: the audit chain stays gapless and event numbers are committed in their order."""

    def __init__(self, url: URL) -> None:
        self.name = url.render_as_string(hide_password=True)
        try:
            import psycopg  # noqa: F401 - the driver is an extra
        except ImportError as error:
            raise StoreRefused(
                f"The driver for {self.name} is not installed: pip install 'himalia[postgresql]'."
            ) from error
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            json_deserializer=read_json,
            pool_size=CONNECTIONS,
            max_overflow=MORE_CONNECTIONS,
            pool_pre_ping=True,  # the database may have been restarted
            connect_args={"connect_timeout": 10, "application_name": "himalia"},
        )
        self._owner: Connection | None = None

    def serialise(self, session: Session) -> None:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        with self._reach() as connection:
            connection.execute(text(f"SET lock_timeout = '{MIGRATION_SECONDS:.0f}s'"))
            try:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATE_LOCK})
            except OperationalError as error:
                raise StoreRefused(MIGRATING.format(self.name)) from error
            connection.commit()
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATE_LOCK})
                connection.execute(text("RESET lock_timeout"))
                connection.commit()

    def own(self) -> bool:
        if self._owner is not None:
            try:
                self._owner.execute(text("SELECT 1"))
                self._owner.commit()
                return True
            except OperationalError:
                self._owner.invalidate()  # the database was restarted, and its locks are gone with it
                self._owner.close()
        connection = self._reach()
        connection.detach()  # never handed out to others
        held = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": OWNER_LOCK}))
        connection.commit()
        if not held:
            connection.close()
            return False
        self._owner = connection
        return True

    def close(self) -> None:
        if self._owner is not None:
            self._owner.close()
        self.engine.dispose()

    def _reach(self) -> Connection:
        try:
            return self.engine.connect()
        except OperationalError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise StoreRefused(
                f"The database {self.name} does not answer: {reason}. Start it, or mend url under [database] in "
                "settings.toml."
            ) from error


def dialect_for(place: Path | str) -> Dialect:
    """The kind of database at a path (SQLite) or URL.

    Raises:
        StoreRefused: neither SQLite nor PostgreSQL, no driver, or a network file system.
    """
    if isinstance(place, Path):
        return Sqlite(place)
    try:
        url = make_url(place)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreRefused(
            "The url under [database] in settings.toml is no URL. Example: postgresql:///himalia"
        ) from error
    kind = url.get_backend_name()
    if kind in ("postgresql", "postgres"):
        return Postgresql(url)
    if kind == "sqlite" and url.database:
        return Sqlite(Path(url.database))
    raise StoreRefused(
        f"Himalia keeps its data in SQLite or PostgreSQL, not in {kind!r}. Example: postgresql:///himalia"
    )


def _on_connect(connection: Any, _record: Any) -> None:
    # SQLAlchemy, not the driver, decides when a transaction begins
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={PATIENCE}")
    cursor.close()
