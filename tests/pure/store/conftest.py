"""Stores of both kinds: each test that asks for `place` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from himalia_server.store import Database
from tests.postgresql import Postgresql, running_postgresql

Place = Path | str
Opener = Callable[[Place], Database]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """One server for all tests; each database of it is its test's own."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    """Makes empty places for a database of one kind."""
    if request.param == "sqlite":
        numbers = iter(range(100))
        return lambda: tmp_path / f"store{next(numbers)}.db"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.database


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """An empty place for a database."""
    return new_place()


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[Opener]:
    """Opens databases, and closes them after the test."""
    opened: list[Database] = []

    def open_(place: Place) -> Database:
        opened.append(Database(place, tmp_path))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def database(place: Place, open_database: Opener) -> Database:
    """A store at the newest schema."""
    made = open_database(place)
    made.migrate()
    return made
