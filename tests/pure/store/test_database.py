"""The store on SQLite and on PostgreSQL: sessions, one writer, refusals."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text

from himalia_server.service.journal import Events, audit, verify_chain
from himalia_server.store import AuditRow, Base, Database, EventRow, StoreRefused, User, engines, file_system_type
from himalia_server.store.database import HEAD, known_revisions
from tests.postgresql import Postgresql
from tests.pure.store.conftest import Opener, Place


def count(database: Database, table: type[Base]) -> int:
    """Rows of a table."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert database.revision() == HEAD == max(known_revisions())


def test_a_failed_change_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            session.add(User(name="ada"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count(database, User) == 0


def test_many_writers_wait_for_each_other(database: Database) -> None:
    """Threads of one process; the audit chain shows whether any two of them wrote at once."""
    events = Events(database)

    def write(number: int) -> None:
        for index in range(15):
            with database.write() as session:
                audit(session, actor="ada", purpose="user", action="try", subject=f"{number}-{index}")
                events.add(session, "tried", None, {"number": number})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        rows = list(session.scalars(select(AuditRow).order_by(AuditRow.seq)))
    assert len(rows) == 120
    assert verify_chain(rows) is None
    assert [event.seq for event in events.after(0)] == list(range(1, 121))


WRITER = """
import sys
from pathlib import Path
from himalia_server.service.journal import audit
from himalia_server.store import Database
place, number, backups = sys.argv[1:]
database = Database(place if "://" in place else Path(place), Path(backups))
for index in range(40):
    with database.write() as session:
        audit(session, actor=number, purpose="user", action="try", subject=str(index))
"""


def test_writers_of_several_processes_wait_for_each_other(place: Place, database: Database, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(place)]
    running = [subprocess.Popen([*command, str(number), str(tmp_path)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    with database.read() as session:
        rows = list(session.scalars(select(AuditRow).order_by(AuditRow.seq)))
    assert len(rows) == 120
    assert verify_chain(rows) is None


def test_a_writer_that_is_killed_leaves_nothing_and_blocks_nobody(
    place: Place, database: Database, tmp_path: Path
) -> None:
    code = WRITER.replace("subject=str(index))", 'subject=str(index)); print("written", flush=True); input()')
    command = [sys.executable, "-c", code, str(place), "1", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"  # flushed, but not committed
    process.kill()
    process.communicate()
    with database.write() as session:
        session.add(User(name="ada"))
    assert count(database, AuditRow) == 0
    assert count(database, User) == 1


def test_readers_see_the_last_commit_while_somebody_writes(database: Database) -> None:
    with database.write() as session:
        session.add(User(name="ada"))
        session.flush()
        assert count(database, User) == 0
    assert count(database, User) == 1


def test_numbers_of_events_never_come_again(database: Database) -> None:
    events = Events(database)
    for _ in range(3):
        with database.write() as session:
            events.add(session, "tried", None, {})
    with database.write() as session:
        session.query(EventRow).delete()
    with database.write() as session:
        events.add(session, "tried", None, {})
    assert [event.seq for event in events.after(0)] == [4]


def test_numbers_of_events_have_63_bits(database: Database) -> None:
    high = 2**31 + 5
    with database.write() as session:
        session.add(EventRow(seq=high, at=1.0, topic="tried", data={}))
    with database.write() as session:
        numbered = EventRow(at=1.0, topic="tried", data={})
        if database.engine.dialect.name == "postgresql":
            session.execute(text("SELECT setval('events_seq_seq', :high)"), {"high": high})
        session.add(numbered)
    assert numbered.seq == high + 1


def test_only_one_service_owns_a_postgresql_database(postgresql: Postgresql, open_database: Opener) -> None:
    url = postgresql.database()
    first, second = open_database(url), open_database(url)
    assert first.own()
    assert first.own()
    assert not second.own()
    assert open_database(postgresql.database()).own()
    first.close()
    assert second.own()


def test_a_postgresql_that_was_restarted_is_used_again(postgresql: Postgresql, open_database: Opener) -> None:
    url = postgresql.database()
    database = open_database(url)
    database.migrate()
    assert database.own()
    name = url.split("/")[3].split("?")[0]
    postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with database.write() as session:
        session.add(User(name="ada"))
    assert count(database, User) == 1
    assert database.own()


def test_a_network_file_system_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "file_system_type", lambda _path: "nfs4")
    with pytest.raises(StoreRefused, match=r"network file system \(nfs4\).*PostgreSQL"):
        Database(tmp_path / "himalia.db", tmp_path)


def test_the_mount_table_is_read_with_its_escapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    table = tmp_path / "mounts"
    point = str(folder).replace(" ", "\\040")
    table.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/home {point} nfs4 rw 0 0\nother {point}2 cifs rw 0 0\n")
    monkeypatch.setattr(engines, "MOUNTS", table)
    assert file_system_type(folder / "himalia") == "nfs4"
    assert file_system_type(tmp_path) == "ext4"
    assert file_system_type(Path(f"{folder}3")) == "ext4"


def test_the_file_system_of_proc_is_proc() -> None:
    assert file_system_type(Path("/proc/self")) == "proc"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://localhost/himalia", "not in 'mysql'"),
        ("nonsense", "is no URL"),
        ("postgresql+asyncpg://localhost/himalia", None),
    ],
)
def test_other_databases_are_refused(url: str, message: str | None, tmp_path: Path) -> None:
    if message is None:
        Database(url, tmp_path).close()  # ours is the driver, whichever is named
        return
    with pytest.raises(StoreRefused, match=message):
        Database(url, tmp_path)


def test_a_password_is_in_no_name(tmp_path: Path) -> None:
    database = Database("postgresql://ada:opensesame@localhost:1/himalia", tmp_path)
    assert "opensesame" not in database.name
    assert "ada" in database.name


def test_a_database_that_does_not_answer_says_so(tmp_path: Path) -> None:
    database = Database("postgresql://ada:opensesame@127.0.0.1:1/himalia", tmp_path)
    with pytest.raises(StoreRefused, match=r"does not answer.*Connection refused") as caught:
        database.migrate()
    assert "opensesame" not in str(caught.value)


def test_the_database_of_a_file_is_private(database: Database, place: Place) -> None:
    if isinstance(place, Path):
        assert place.stat().st_mode & 0o077 == 0


def test_json_of_rows_is_read_whatever_it_holds(database: Database) -> None:
    values = {"half": "\ud800", "big": 10**30, "nested": [{"é": None}], "float": 1.0}
    with database.write() as session:
        session.add(EventRow(at=0.0, topic="t", subject=None, data=values))
    with database.read() as session:
        found = session.scalars(select(EventRow)).one().data
    assert found == values
    assert isinstance(found["float"], float)
