"""Copies of a whole database: into one SQLite file, and from such a file into an empty database of either kind."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    Table,
    column,
    create_engine,
    event,
    func,
    insert,
    select,
    table,
    text,
)

MIGRATIONS = Path(__file__).with_name("migrations")
ROWS = 1000
"""Copied at a time."""
VERSION_TABLE = "alembic_version"


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the schema to *revision* within the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def revision_of(connection: Connection) -> str | None:
    """The schema revision of a database; None for an empty one."""
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))


def copy_to_file(engine: Engine, target: Path) -> None:
    """Copy the database, as it is at this moment, into a new SQLite file (0600); others may write meanwhile.

    Raises:
        FileExistsError: *target* is there already.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already.")
    # a copy that was begun when this process was killed must not be taken for a whole one
    draft = target.with_name(f".{target.name}.part")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    copy = open_file(draft)
    try:
        with engine.connect() as reader, copy.begin() as writer:
            if engine.dialect.name == "postgresql":
                reader = reader.execution_options(isolation_level="REPEATABLE READ")  # all tables as of one moment
            copy_rows(reader, writer)
        copy.dispose()
        os.link(draft, target)
    finally:
        copy.dispose()
        draft.unlink(missing_ok=True)


def open_file(path: Path) -> Engine:
    """A plain SQLite file, without a log beside it."""
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def on_connect(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def copy_rows(source: Connection, target: Connection) -> int:
    """Make in *target*, an empty database, the schema that *source* has, and copy all rows. Returns their number.

    Raises:
        ValueError: *source* is no store of Himalia's, or *target* is not empty.
    """
    revision = revision_of(source)
    if revision is None:
        raise ValueError("there is no schema of Himalia's in it")
    if revision_of(target) is not None:
        raise ValueError("the database to copy to is not empty")
    upgrade(target, revision)
    described, made = MetaData(), MetaData()
    described.reflect(source)
    made.reflect(target)
    count = 0
    for to in made.sorted_tables:
        if to.name == VERSION_TABLE:
            continue
        rows = source.execute(select(described.tables[to.name]), execution_options={"yield_per": ROWS})
        for part in rows.mappings().partitions(ROWS):
            target.execute(insert(to), [dict(row) for row in part])
            count += len(part)
        _continue_numbers(target, to)
    return count


def _continue_numbers(connection: Connection, numbered: Table) -> None:
    """Have PostgreSQL go on after the highest number of a numbered table; SQLite does so by itself."""
    counter = numbered.autoincrement_column
    if connection.dialect.name != "postgresql" or counter is None:
        return
    highest = connection.scalar(select(func.max(counter)))
    if highest is not None:
        sequence = text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)")
        connection.execute(sequence, {"table": numbered.name, "column": counter.name, "highest": highest})
