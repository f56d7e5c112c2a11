"""What holds when the clock jumps, a process is killed in between, the disk is full, or nobody lets go of a lock."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from himalia_server.gateway import control
from himalia_server.pipelines.driving.rooms import later
from himalia_server.service import supervisor_main, tokens
from himalia_server.service.guard import sweep_drafts
from himalia_server.service.housekeeping import prune_tokens
from himalia_server.service.journal import MEMBERS, Events
from himalia_server.service.replies import as_problem
from himalia_server.service.site import Site
from himalia_server.store import (
    Database,
    EventRow,
    Project,
    Run,
    StageRun,
    Token,
    User,
    continue_ids,
    database,
    new_id,
    now,
    schema,
)
from himalia_server.store.copying import copy_to_file


@pytest.fixture
def store(tmp_path: Path) -> Database:
    made = Database(tmp_path / "himalia.db", tmp_path)
    made.migrate()
    return made


def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the clock of the store to a time."""
    return lambda at: monkeypatch.setattr(schema.time, "time", lambda: at)


def test_ids_sort_by_creation_when_the_clock_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    put, made = clock(monkeypatch), []
    for at in (2e9, 2e9, 2e9 - 86400, 1.0, 2e9 + 5):
        put(at)
        made.append(new_id())
    assert made == sorted(made)


def test_ids_go_on_behind_those_of_an_earlier_process(monkeypatch: pytest.MonkeyPatch) -> None:
    put = clock(monkeypatch)
    put(3e9)
    old = new_id()
    monkeypatch.setattr(schema, "_id_time", 0)
    put(1e9)
    continue_ids(old)
    assert new_id() > old


def test_nothing_ends_before_it_began() -> None:
    assert later(now() + 1000) >= now() + 999
    assert later(None) > 0


def test_events_that_are_kept_have_no_gap_when_the_clock_was_put_back(store: Database) -> None:
    events = Events(store)
    for at in (100.0, 9000.0, 200.0, 300.0, 9001.0):
        with store.write() as session:
            session.add(EventRow(at=at, topic="x", subject=None, data={}))
    events.prune(1000.0)
    assert [event.seq for event in events.after(0)] == [5]


def test_a_token_is_due_when_its_file_holds_another_or_is_gone(store: Database, tmp_path: Path) -> None:
    file = tmp_path / "tokens" / "t"
    with store.write() as session:
        session.add(User(name="ada"))
        session.flush()
        row = tokens.issue(session, purpose="kernel", user="ada", seconds=3600, file=file)
    assert not tokens.is_due(row, 3600)
    text = file.read_text()
    file.write_text("him_of_a_transaction_that_was_never_committed\n")
    assert tokens.is_due(row, 3600)
    file.write_text(text)
    assert not tokens.is_due(row, 3600)
    file.unlink()
    assert tokens.is_due(row, 3600)
    row.expires_at = now() - 10 * 86400
    file.write_text(text)
    assert tokens.is_due(row, 3600), "an expired one too: the machine may have slept"
    row.expires_at = now() + 10 * 86400
    assert tokens.is_due(row, 3600), "one that would live for too long: the clock was put back"


@pytest.mark.parametrize(("status", "late"), [("running", True), ("succeeded", False)])
def test_a_token_of_a_living_stage_is_late_but_not_lost_when_the_clock_jumps(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, late: bool
) -> None:
    """For as long as the stage runs, it is neither refused for ever nor forgotten; requests under way go on."""
    file, put = tmp_path / "tokens" / "t", clock(monkeypatch)
    put(2e9)
    with store.write() as session:
        session.add(User(name="ada"))
        session.flush()
        session.add(Project(id="p", slug="p", path="/p", python="", kernelspec="", created_by="ada"))
        session.flush()
        session.add(Run(id="r", project_id="p", status="running", snapshot="", created_by="ada"))
        session.flush()
        session.add(StageRun(run_id="r", stage="s", position=0, status=status))
        tokens.issue(
            session, purpose="stage", user="ada", seconds=3600, file=file, project_id="p", run_id="r", stage="s"
        )
    text = file.read_text().strip()
    with store.read() as session:
        assert not tokens.is_late(session, text)
    put(2e9 + 40 * 86400)
    prune_tokens(store)
    with store.write() as session:
        assert tokens.find(session, text) is None
        assert tokens.is_late(session, text) is late
        row = session.scalar(select(Token))
        assert row is not None
        tokens.renew(session, row, 3600)
        assert tokens.find(session, text) is not None, "for requests under way"
        assert not tokens.is_late(session, text)


def test_the_end_of_a_project_is_told_to_who_was_a_member(store: Database) -> None:
    events, data = Events(store), {"x": 1, MEMBERS: ["ada"]}
    with store.write() as session:
        session.add(EventRow(at=1.0, topic="project.deleted", subject="p", project_id="p", data=data))
    assert events.gone(0, "ada") == events.gone(0, None) == {"p"}
    assert events.gone(0, "bob") == events.gone(1, "ada") == set()
    assert [event.to_dict()["data"] for event in events.after(0)] == [{"x": 1}], "who they are is told to nobody"


def test_a_copy_that_fails_leaves_nothing_that_looks_whole(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backups" / "copy.db"
    target.parent.mkdir()

    def fails(*_: object) -> int:
        assert not target.exists(), "it has its name only when it is whole"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("himalia_server.store.copying.copy_rows", fails)
    with pytest.raises(OSError, match="No space"):
        copy_to_file(store.engine, target)
    assert list(target.parent.iterdir()) == []


def test_writers_do_not_wait_one_after_the_other(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WRITE_SECONDS", 0.05)
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store.write():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    with pytest.raises(OperationalError) as caught, store.write():
        pass
    leave.set()
    thread.join()
    problem = as_problem(caught.value, Path("/"))
    assert problem is not None
    assert problem.status == 503
    with store.write():
        pass


def test_drafts_of_a_killed_service_are_swept_and_nothing_else(tmp_path: Path) -> None:
    site = Site.open(tmp_path / "home")
    site.prepare()
    drafts = [
        site.home / ".service.json.abcd12_3",
        site.home / "tokens" / ".user.abcd12_3",
        site.home / "models" / ".0123456789abcdef",
        site.home / "backups" / ".himalia-0001.db.part",
    ]
    kept = [site.home / "service.json", site.home / ".site.json.42.abcdef12", site.home / "tokens" / "user"]
    for path in drafts + kept:
        path.write_text("x")
    (site.home / "models" / "0123").mkdir()
    sweep_drafts(site)
    assert [path.name for path in drafts if path.exists()] == []
    assert all(path.exists() for path in [*kept, site.home / "models" / "0123", site.home / "site.json"])
    site.runtime.rmdir()


def test_the_record_of_an_end_needs_no_new_room(tmp_path: Path) -> None:
    path = str(tmp_path / "exit.json")
    supervisor_main.reserve(path)
    before = os.stat(path + ".new").st_blocks  # noqa: PTH116
    supervisor_main.write_reserved(path, {"code": 0, "error": None})
    assert os.stat(path).st_blocks == before  # noqa: PTH116
    import json

    assert json.loads(Path(path).read_text()) == {"code": 0, "error": None}


def test_the_gateways_control_socket_survives_too_many_open_files(tmp_path: Path) -> None:
    server = control.ControlServer(tmp_path / "control.sock", dict, dict, lambda: None)

    class Exhausted:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

    real, server.listener = server.listener, Exhausted()  # type: ignore[assignment]
    server.accept()
    assert not server.accepts, "it would be asked again and again at once"
    server.listener = real
    server._accepts_at = 0.0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "control.sock"))
        server.accept()
        assert len(server.sources()) == 1
    server.close()
