"""From an older schema with data to the newest one; refusals; backups before."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, Connection, Float, Integer, LargeBinary, MetaData, insert, select, text

from himalia_server.store import Base, Database, SchemaTooNew, StoreRefused, User, copying, engines
from himalia_server.store.copying import VERSION_TABLE, copy_to_file
from himalia_server.store.database import HEAD, known_revisions
from tests.pure.store.conftest import Opener, Place

OLDER = sorted(known_revisions() - {HEAD})


def example(column: Column[Any], number: int) -> Any:
    """A value that a column takes; of a column that leads to another table, that table's first row."""
    kind = column.type
    if isinstance(kind, JSON):
        return {"a": [1, 2.5, None, "é"]}
    if isinstance(kind, Boolean):
        return bool(number % 2)
    if isinstance(kind, Integer):
        return number
    if isinstance(kind, Float):
        return 1790000000.123456 + number
    if isinstance(kind, LargeBinary):
        return b"\x00\xff" + bytes([number])
    if column.foreign_keys:
        (leads,) = column.foreign_keys
        return f"{leads.column.name} 1"
    return f"{column.name} {number}"


def fill(connection: Connection, rows: int = 3) -> dict[str, list[dict[str, Any]]]:
    """Rows in all tables, as the schema of this database has them."""
    described = MetaData()
    described.reflect(connection)
    made: dict[str, list[dict[str, Any]]] = {}
    for table in described.sorted_tables:
        if table.name == VERSION_TABLE:
            continue
        keys = set(table.primary_key.columns)
        lone = all(column.foreign_keys for column in keys)
        made[table.name] = [
            {column.name: example(column, number) for column in table.columns}
            for number in range(1, 2 if lone else rows + 1)
        ]
        connection.execute(insert(table), made[table.name])
    return made


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, in the order of their keys."""
    described = MetaData()
    described.reflect(connection)
    return {
        table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
        for table in described.sorted_tables
        if table.name != VERSION_TABLE
    }


@pytest.mark.parametrize("older", OLDER)
def test_every_older_schema_becomes_the_newest_and_keeps_its_data(
    older: str, place: Place, open_database: Opener
) -> None:
    database = open_database(place)
    with database.change_schema() as connection:
        copying.upgrade(connection, older)
        before = fill(connection)
    backup = database.migrate()
    assert database.revision() == HEAD
    with database.engine.connect() as connection:
        after = contents(connection)
    for name, rows in before.items():
        assert [{key: row[key] for key in rows[0]} for row in after[name]] == rows
    with database.read() as session:  # and the models read them
        for mapper in Base.registry.mappers:
            list(session.scalars(select(mapper.class_)))
    assert backup is not None
    assert backup.stat().st_mode & 0o777 == 0o600
    copy = copying.open_file(backup)
    with copy.connect() as connection:
        assert copying.revision_of(connection) == older
        assert contents(connection) == before
    copy.dispose()


def test_migrating_twice_changes_nothing(database: Database) -> None:
    assert database.migrate() is None


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with database.write() as session:
        session.add(User(name="ada"))
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="newer Himalia wrote it"):
        database.migrate()
    assert database.revision() == "9999"


def test_a_migration_that_fails_is_undone(place: Place, open_database: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(place)
    with database.change_schema() as connection:
        copying.upgrade(connection, OLDER[-1])
        before = fill(connection)

    def fail_late(connection: Connection, revision: str) -> None:
        upgrade(connection, revision)
        raise OSError("no space left")

    upgrade = copying.upgrade
    monkeypatch.setattr("himalia_server.store.database.upgrade", fail_late)
    with pytest.raises(OSError, match="no space left"):
        database.migrate()
    assert database.revision() == OLDER[-1]
    with database.engine.connect() as connection:
        assert contents(connection) == before
    monkeypatch.undo()
    assert database.migrate() is not None


def test_two_that_migrate_at_once_do_it_once(place: Place, open_database: Opener) -> None:
    first, second = open_database(place), open_database(place)
    with first.change_schema() as connection:
        copying.upgrade(connection, OLDER[-1])
    backups: list[Path | None] = []
    threads = [threading.Thread(target=lambda one=one: backups.append(one.migrate())) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(backup is None for backup in backups) == [False, True]


def test_who_waits_too_long_for_another_migration_is_told(
    place: Place, open_database: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "MIGRATION_SECONDS", 1)
    first, second = open_database(place), open_database(place)
    with first.dialect.migration_lock(), pytest.raises(StoreRefused, match="has been migrating"):
        second.migrate()
    second.migrate()


def test_a_copy_goes_into_a_database_of_either_kind(
    database: Database, new_place: Callable[[], Place], open_database: Opener, tmp_path: Path
) -> None:
    with database.change_schema() as connection:
        before = fill(connection)
    copy_to_file(database.engine, tmp_path / "copy")
    for place in (new_place(), tmp_path / "other.db"):
        other = open_database(place)
        assert other.fill(tmp_path / "copy") == sum(len(rows) for rows in before.values())
        with other.engine.connect() as connection:
            assert contents(connection) == before
        with other.write() as session:  # numbers go on after those that were copied
            session.execute(text("INSERT INTO events (at, topic, data) VALUES (1, 'tried', '{}')"))
            assert session.scalar(text("SELECT max(seq) FROM events")) == len(before["events"]) + 1
        with pytest.raises(ValueError, match="not empty"):
            other.fill(tmp_path / "copy")


def test_a_file_that_is_no_copy_is_refused(database: Database, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other") as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(ValueError, match="no schema of Himalia"):
        database.fill(tmp_path / "other")
