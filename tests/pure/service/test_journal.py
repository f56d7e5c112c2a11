"""Audit chain and events."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from himalia_server.service.journal import Events, audit, verify_chain
from himalia_server.store import AuditRow, Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "himalia.db", tmp_path)
    made.migrate()
    return made


def write_rows(database: Database, count: int) -> None:
    for number in range(count):
        with database.write() as session:
            audit(session, actor="ada", purpose="user", action="x", subject=str(number), detail={"ä": number})


def rows(database: Database) -> list[AuditRow]:
    with database.read() as session:
        return list(session.scalars(select(AuditRow).order_by(AuditRow.seq)))


def test_an_untouched_chain_is_whole(database: Database) -> None:
    write_rows(database, 5)
    assert verify_chain(rows(database)) is None


def test_rows_written_by_many_threads_form_one_chain(database: Database) -> None:
    threads = [threading.Thread(target=write_rows, args=(database, 10)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(database)) == 60
    assert verify_chain(rows(database)) is None


def test_a_changed_row_is_found(database: Database) -> None:
    write_rows(database, 5)
    with database.write() as session:
        session.execute(update(AuditRow).where(AuditRow.seq == 3).values(actor="eve"))
    assert verify_chain(rows(database)) == 3


def test_a_removed_row_is_found(database: Database) -> None:
    write_rows(database, 5)
    with database.write() as session:
        session.execute(delete(AuditRow).where(AuditRow.seq == 3))
    assert verify_chain(rows(database)) == 4


def test_events_are_numbered_replayed_and_pruned(database: Database) -> None:
    events = Events(database)
    woken = threading.Event()
    events.listen(woken.set)
    for number in range(5):
        with database.write() as session:
            events.add(session, "t", str(number), {"n": number})
        events.announce()
    assert woken.is_set()
    assert [event.data["n"] for event in events.after(2)] == [2, 3, 4]
    assert events.bounds() == (1, 5)
    # the newest stays, so that numbers go on
    assert events.prune(older_than=9e12) == 4
    assert events.bounds() == (5, 5)


def test_an_event_of_a_failed_change_is_never_seen(database: Database) -> None:
    events = Events(database)

    def fail() -> None:
        with database.write() as session:
            events.add(session, "t", None, {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert events.after(0) == []
