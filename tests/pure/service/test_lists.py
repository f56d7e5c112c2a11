"""Lists over a store: pages stay right while rows come and go, and cost the same number of questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import event, select

from himalia_server.pipelines.history import History
from himalia_server.projects.manager import Projects
from himalia_server.service.auth import Principal
from himalia_server.service.context import Context
from himalia_server.service.journal import audit
from himalia_server.service.routes import check_audit
from himalia_server.store import AuditRow, Database, Member, Project, Run, StageRun, User
from himalia_server.team import SiteRole

ADA = Principal("ada", "user", SiteRole.ADMIN, "t", None, None, None, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "himalia.db", tmp_path / "backups")
    database.migrate()
    with database.write() as session:
        session.add(User(name="ada"))
        session.flush()
        add_project(session, tmp_path, "p")
    yield database
    database.close()


def context(store: Database) -> Context:
    return cast(Context, SimpleNamespace(database=store))


def add_project(session: Any, folder: Path, slug: str) -> None:
    (folder / slug).mkdir()
    project = Project(slug=slug, path=str(folder / slug), python="python", kernelspec=slug, created_by="ada")
    session.add(project)
    session.flush()
    session.add(Member(project_id=project.id, user="ada", role="owner"))


def add_runs(store: Database, number: int) -> list[str]:
    made = []
    with store.write() as session:
        project = session.scalars(select(Project)).first()
        assert project is not None
        for _ in range(number):
            run = Run(project_id=project.id, status="succeeded", snapshot="sha256:0", created_by="ada")
            session.add(run)
            session.flush()
            for position, name in enumerate(("b", "a")):
                session.add(StageRun(run_id=run.id, stage=name, position=position, status="succeeded"))
            made.append(run.id)
    return made


def first_project(store: Database) -> Project:
    with store.read() as session:
        return session.scalars(select(Project)).one()


def test_pages_of_runs_while_runs_come_and_go(store: Database) -> None:
    made = add_runs(store, 30)
    room = History(context(store), cast(Any, None), cast(Any, None))
    project, seen, cursor = first_project(store), list[str](), cast("str | None", None)
    deleted = 0
    while True:
        page, cursor = room.page(project, cursor, 7)
        seen += [run.id for run in page]
        assert all([stage.name for stage in run.stages] == ["b", "a"] for run in page)
        if cursor is None:
            break
        add_runs(store, 2)
        with store.write() as session:
            # one that was read, and the very one that the cursor names
            gone = session.query(Run).where(Run.id.in_((seen[0], cursor))).delete()
        deleted += gone
    assert seen == sorted(made, reverse=True)
    assert deleted >= 5


def test_a_page_of_runs_takes_two_questions_however_long_it_is(store: Database) -> None:
    add_runs(store, 40)
    room = History(context(store), cast(Any, None), cast(Any, None))
    project, asked = first_project(store), list[str]()
    event.listen(store.engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    for limit in (1, 40):
        asked.clear()
        assert len(room.page(project, None, limit)[0]) == limit
        assert len([statement for statement in asked if statement.startswith("SELECT")]) == 2, asked


def test_pages_of_projects_while_projects_come_and_go(store: Database, tmp_path: Path) -> None:
    with store.write() as session:
        for number in range(9):
            add_project(session, tmp_path, f"p{number}")
    room = Projects(context(store), tmp_path)
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))
    first, cursor = room.page(ADA, None, 4)
    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1
    with store.write() as session:
        session.query(Project).where(Project.slug == first[-1].slug).delete()
        add_project(session, tmp_path, "newest")
    second, following = room.page(ADA, cursor, 200)
    assert following is None
    slugs = [project.slug for project in [*first, *second]]
    assert slugs == [*(f"p{number}" for number in reversed(range(9))), "p"]


def test_the_audit_log_is_checked_row_by_row(store: Database) -> None:
    with store.write() as session:
        for number in range(1100):
            audit(session, actor="ada", purpose="user", action="x", subject=str(number))
    request = cast(Any, SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(context=context(store)))))
    whole = check_audit(request, ADA)
    assert (whole.rows, whole.whole, whole.first_bad) == (1100, True, None)
    with store.write() as session:
        session.query(AuditRow).where(AuditRow.seq == 700).update({"actor": "eve"})
    broken = check_audit(request, ADA)
    assert (broken.rows, broken.whole, broken.first_bad) == (1100, False, 700)
