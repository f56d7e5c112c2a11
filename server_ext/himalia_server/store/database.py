"""Sessions, migrations and backups of one database."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from .copying import MIGRATIONS, copy_rows, copy_to_file, open_file, revision_of, upgrade
from .engines import StoreRefused, dialect_for

WRITE_SECONDS = 30.0
HEAD = "0005"
"""The newest revision in `migrations/versions`; a test holds it there."""


class SchemaTooNew(StoreRefused):
    """The database was written by a newer Himalia."""


class Database:
    """Sessions over one database: SQLite at a path, or PostgreSQL at a URL.

    Thread-safe: `read()` and `write()` may be called from any thread. Writers are serialised, in this process by a
    lock and among processes by the database. Callers own no session beyond the `with` block.

    *backups*: the folder for copies that are made before a migration.

    Raises:
        StoreRefused: the place cannot hold a store; the text says what to do.
    """

    def __init__(self, place: Path | str, backups: Path) -> None:
        self.dialect = dialect_for(place)
        self.backups = backups
        self._write_lock = threading.RLock()

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine."""
        return self.dialect.engine

    @property
    def name(self) -> str:
        """The database as a person calls it, without a password."""
        return self.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; what it changes is dropped."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session for writing; committed at the end of the block, rolled back when it raises.

        Raises:
            OperationalError: other writers did not come to an end for half a minute.
        """
        # bounded here too: each writer in the queue would else wait for all before it to give up, one by one
        if not self._write_lock.acquire(timeout=WRITE_SECONDS):
            waited = TimeoutError("database is locked: other writers of this process do not come to an end")
            raise OperationalError("waiting to write", None, waited)
        try:
            with Session(self.engine, expire_on_commit=False) as session:
                self.dialect.serialise(session)
                yield session
                session.commit()
        finally:
            self._write_lock.release()

    def own(self) -> bool:
        """Whether this process is the database's one service; made so when there is none."""
        return self.dialect.own()

    def close(self) -> None:
        """Close all connections."""
        self.dialect.close()

    def revision(self) -> str | None:
        """The schema revision the database is at; None for an empty database."""
        with self.engine.connect() as connection:
            return revision_of(connection)

    def migrate(self) -> Path | None:
        """Bring the schema to HEAD under a lock, after a backup of what was there.

        Returns the backup's path when one was made. A migration that fails is undone.

        Raises:
            SchemaTooNew: the database was written by a newer Himalia; nothing is changed.
        """
        with self.dialect.migration_lock():
            current = self.revision()
            if current == HEAD:
                return None
            if current is not None and current not in known_revisions():
                raise SchemaTooNew(_too_new(self.name, current))
            backup = None
            if current is not None:
                backup = self._new_backup(current)
                copy_to_file(self.engine, backup)
            with self.change_schema() as connection:
                upgrade(connection, HEAD)
            return backup

    def _new_backup(self, revision: str) -> Path:
        """A name that is free: a migration that fails is tried again, maybe within the same second."""
        base = f"himalia-{revision}-{time.strftime('%Y%m%dT%H%M%S')}"
        names = (base + (f"-{number}" if number else "") + ".db" for number in itertools.count())
        return next(path for name in names if not (path := self.backups / name).exists())

    def fill(self, file: Path) -> int:
        """Take over what `copy_to_file` had put into *file*; this database must be empty. Returns the number of rows.

        Raises:
            SchemaTooNew: the file was written by a newer Himalia. ValueError: it is no copy of a store, or this
                database is not empty.
        """
        copy = open_file(file)
        try:
            with self.dialect.migration_lock(), copy.connect() as source, self.change_schema() as target:
                revision = revision_of(source)
                if revision is not None and revision not in known_revisions():
                    raise SchemaTooNew(_too_new(str(file), revision))
                return copy_rows(source, target)
        finally:
            copy.dispose()

    @contextmanager
    def change_schema(self) -> Iterator[Connection]:
        """One transaction over the schema and its rows: all of it or nothing."""
        with self.engine.connect() as connection:
            writing = connection.execution_options(himalia_write=True)
            with writing.begin():
                yield writing


def _too_new(name: str, revision: str) -> str:
    return (
        f"{name} has schema {revision}, which this Himalia (schema {HEAD}) does not know: a newer Himalia wrote it. "
        "Upgrade Himalia (pip install -U himalia), or restore an older backup."
    )


def known_revisions() -> set[str]:
    """Revisions that this Himalia can read or migrate."""
    return {path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}
