"""The store: migrations, refusals, one writer."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select

from himalia_server.store import Base, Database, SchemaTooNew, StoreRefused, User
from himalia_server.store import database as database_module
from himalia_server.store.database import HEAD, file_system_type


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "himalia.db")
    made.migrate()
    return made


def test_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert database.revision() == HEAD


def test_migrating_twice_changes_nothing(database: Database) -> None:
    assert database.migrate() is None


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with sqlite3.connect(database.path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="newer Himalia"):
        database.migrate()
    assert database.revision() == "9999"


def test_an_older_schema_is_backed_up_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "HEAD", "0002")
    with database.write() as session:
        session.add(User(name="ada"))
    backup = database.migrate()
    assert backup is not None
    with sqlite3.connect(backup) as connection:
        assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]


def test_a_network_file_system_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "file_system_type", lambda _path: "nfs4")
    with pytest.raises(StoreRefused, match="nfs4"):
        Database(tmp_path / "himalia.db")


def test_the_file_system_of_proc_is_proc() -> None:
    assert file_system_type(Path("/proc/self")) == "proc"


def test_a_failed_change_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(User(name="ada"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0


def test_many_writers_wait_for_each_other(database: Database) -> None:
    def write(number: int) -> None:
        for index in range(20):
            with database.write() as session:
                session.add(User(name=f"{number}-{index}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 160
