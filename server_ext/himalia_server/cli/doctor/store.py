"""The databases, looked at without the service and without changing them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...service.site import DATABASE_VARIABLE
from .finding import Place, Verdict, trouble, well

CHECK_SECONDS = 2.0
"""How long a database is read through; a large one is not read to its end."""
CONNECT_SECONDS = 3
CLOCK_SECONDS = 60.0

Store = Callable[[str], list[tuple[Any, ...]]]
"""Answers a SELECT that both kinds of database understand."""
RESTORE = "Restore a backup: himalia down, then himalia restore FILE --replace (copies before upgrades: {})."


def database(place: Place) -> Verdict | None:
    """The store can be reached, is whole, and of a schema that this Himalia knows."""
    if place.site is None or place.settings is None:
        return None
    url = place.settings.database_url
    if url is None:
        return _sqlite(place, place.site.database)
    return _postgresql(place, url)


def _sqlite(place: Place, path: Path) -> Verdict:
    if not path.exists():
        return well("none yet; made at the first start")
    damage = _damage(path)
    if damage is not None:
        return trouble(f"{path} {damage}", RESTORE.format(place.home / "backups"))

    def ask(query: str) -> list[tuple[Any, ...]]:
        with closing(_reader(path)) as connection:
            return connection.execute(query).fetchall()

    return _schema(place, ask, str(path))


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=CHECK_SECONDS)


def _damage(path: Path) -> str | None:
    """What is wrong with an SQLite file; None when nothing was found within `CHECK_SECONDS`."""
    deadline = time.monotonic() + CHECK_SECONDS
    connection = _reader(path)
    try:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        # a large database was read for as long as a person waits
        return None if "interrupted" in str(error) else f"cannot be read: {error}"
    except sqlite3.DatabaseError as error:
        return f"is damaged: {error}"
    finally:
        connection.close()
    return None if found == ["ok"] else f"is damaged: {'; '.join(' '.join(line.split()) for line in found)}"


def _postgresql(place: Place, url: str) -> Verdict:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    source = (
        DATABASE_VARIABLE
        if os.environ.get(DATABASE_VARIABLE)
        else f"url under [database] in {place.home / 'settings.toml'}"
    )
    try:
        parsed = make_url(url)
    except ArgumentError:
        return trouble(f"{source} is no URL", "Example: postgresql:///himalia")
    name = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        return trouble(f"{name} is no PostgreSQL ({source})", "Example: postgresql:///himalia")
    try:
        import psycopg
    except ImportError:
        return trouble(f"the driver for {name} is not installed", "pip install 'himalia[postgresql]'")
    target = parsed.set(drivername="postgresql").render_as_string(hide_password=False)

    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(target, connect_timeout=CONNECT_SECONDS) as connection:
            return connection.execute(query).fetchall()

    try:
        ask("SELECT 1")
        if not ask("SELECT 1 FROM information_schema.tables WHERE table_name = 'alembic_version'"):
            return well(f"{name}, still empty")
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        return trouble(
            f"{name} cannot be used: {reason}", f"Start it, or mend {source}; try it with: psql '{name}' -c 'SELECT 1'"
        )
    return _schema(place, ask, name)


def _schema(place: Place, ask: Store, name: str) -> Verdict:
    from ...store import known_revisions

    try:
        revisions = [str(row[0]) for row in ask("SELECT version_num FROM alembic_version")]
    except sqlite3.OperationalError as error:
        return trouble(f"{name} is no database of Himalia: {error}", RESTORE.format(place.home / "backups"))
    unknown = [revision for revision in revisions if revision not in known_revisions()]
    if unknown:
        return trouble(
            f"{name} has schema {unknown[0]}: a newer Himalia wrote it, and this one does not touch it",
            "pip install -U himalia, or restore an older backup.",
        )
    place.store = ask
    return well(f"{name}, schema {', '.join(revisions) or 'none yet'}")


def tracking_database(place: Place) -> Verdict | None:
    """MLflow's own database is whole."""
    if place.site is None:
        return None
    path = place.site.tracking_database
    if not path.exists():
        return well("none yet; made at the first start")
    damage = _damage(path)
    if damage is not None:
        return trouble(f"{path} {damage}", RESTORE.format(place.home / "backups"))
    return well(str(path))


def clock(place: Place) -> Verdict | None:
    """Nothing was written in the future."""
    if place.store is None:
        return None
    newest = [row[0] for table in ("events", "audit") for row in place.store(f"SELECT MAX(at) FROM {table}")]  # noqa: S608
    ahead = max((at for at in newest if at is not None), default=0.0) - time.time()
    if ahead > CLOCK_SECONDS:
        return trouble(
            f"the newest entry of the store lies {_span(ahead)} in the future: the clock is wrong now, or was then; "
            "tokens end too late, and times of runs mislead",
            "Set the clock (timedatectl set-ntp true), then himalia down, himalia up.",
        )
    return well("no entry of the store lies in the future")


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600)):
        if seconds > 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
