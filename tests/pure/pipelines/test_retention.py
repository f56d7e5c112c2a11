"""What is past its time goes, with the content that only it referred to; what anything refers to stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from himalia_server.content import ContentStore, FileEntry
from himalia_server.pipelines import retention as module
from himalia_server.pipelines.retention import DAY, YOUNG, Retention
from himalia_server.projects import Manifest
from himalia_server.service.context import Context
from himalia_server.service.site import Site
from himalia_server.store import Attempt, Database, Project, Run, Schedule, StageResult, StageRun, User, Verification

NOW = 1_790_000_000.0


@dataclass
class Room:
    """A site's database and content, with one project whose `[retention]` the test chooses."""

    database: Database
    content: ContentStore
    site: Site
    project: Project
    retention: Retention
    table: dict[str, Any]

    def put(self, text: str) -> str:
        return self.content.put_bytes(text.encode())

    def snapshot(self, text: str) -> str:
        return self.content.put_tree({"code.py": FileEntry(self.put(text), len(text))})

    def run(self, days: float, *, status: str = "succeeded", text: str = "", **more: Any) -> str:
        ended = NOW - days * DAY
        with self.database.write() as session:
            row = Run(
                project_id=self.project.id,
                status=status,
                snapshot=self.snapshot(f"code {text}"),
                manifest={},
                created_by="ada",
                created_at=ended - 1,
                ended_at=ended if status == "succeeded" else None,
                **more,
            )
            session.add(row)
            session.flush()
            stage = StageRun(run_id=row.id, stage="s", position=0, status=status)
            stage.outputs = {"out": self.put(f"output {text}")}
            stage.notebook_digest = self.put(f"notebook {text}")
            session.add(stage)
            log = self.put(f"log {text}")
            session.add(Attempt(run_id=row.id, stage="s", number=1, status="lost", log_digest=log, ended_at=ended))
        self.site.log(f"stage-{row.id}-s").parent.mkdir(exist_ok=True)
        self.site.log(f"stage-{row.id}-s").write_text("said")
        return row.id

    def result(self, days: float, text: str, stage: str = "s") -> str:
        with self.database.write() as session:
            row = StageResult(
                project_id=self.project.id,
                stage=stage,
                key=f"key {text}",
                parts=self.put(f"parts {text}"),
                outputs={"out": self.put(f"made {text}")},
                outputs_digest=text,
                run_id="r",
                used_at=NOW - days * DAY,
            )
            session.add(row)
        return row.id

    def runs(self) -> set[str]:
        with self.database.read() as session:
            return {row.id for row in session.query(Run)}

    def has(self, text: str) -> bool:
        name = hashlib.sha256(text.encode()).hexdigest()
        return (self.content.objects / name[:2] / name[2:]).exists()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setattr(module, "now", lambda: NOW)
    monkeypatch.setattr(module, "YOUNG", -1.0)  # what was put just now is old enough
    database = Database(tmp_path / "store.db", tmp_path / "backups")
    database.migrate()
    with database.write() as session:
        session.add(User(name="ada"))
        session.flush()
        project = Project(slug="p", path=str(tmp_path), python="python", kernelspec="p", created_by="ada")
        session.add(project)
    table: dict[str, Any] = {}
    site = Site(tmp_path, "id", "secret")
    context = cast(Context, SimpleNamespace(database=database, site=site))
    projects = SimpleNamespace(
        kernels=SimpleNamespace(
            manifest=lambda _: Manifest.model_validate({"project": {"name": "p"}, "retention": table})
        )
    )
    content = ContentStore(tmp_path / "content")
    room = Retention(context, cast(Any, projects), content)
    monkeypatch.setattr(room, "_tell", lambda *_: None)
    yield Room(database, content, site, project, room, table)
    content.close()
    database.close()


def test_nothing_goes_unless_the_project_says_so(room: Room) -> None:
    run_id, result = room.run(5000, text="old"), room.result(5000, "old")
    view = room.retention.collect(None, dry_run=False)
    assert (view.runs, view.results, view.objects, view.missing) == (0, 0, 0, 0)
    assert room.runs() == {run_id}
    assert result
    assert all(
        room.has(text) for text in ("code old", "output old", "notebook old", "log old", "parts old", "made old")
    )


def test_old_runs_go_with_what_only_they_referred_to(room: Room) -> None:
    room.table["days"] = 30
    old, young = room.run(31, text="old"), room.run(29, text="young")
    goes_on = room.run(90, status="running", text="runs")
    verified = room.run(90, text="verified", kind="verification")
    said = room.retention.collect(None, dry_run=True)
    assert (said.dry_run, said.runs, room.runs()) == (True, 1, {old, young, goes_on, verified})
    assert room.has("output old")
    view = room.retention.collect(None, dry_run=False)
    assert (view.objects, view.bytes) == (said.objects, said.bytes)
    assert room.runs() == {young, goes_on, verified}
    for text in ("code old", "output old", "notebook old", "log old"):
        assert not room.has(text)
    for text in ("code young", "output runs", "notebook verified", "log young"):
        assert room.has(text)
    assert not room.site.log(f"stage-{old}-s").exists()
    assert room.site.log(f"stage-{young}-s").exists()


def test_so_many_of_the_newest_runs_are_kept(room: Room) -> None:
    room.table["runs"] = 2
    made = [room.run(days, text=str(days)) for days in (3, 2, 1)]
    room.retention.collect(None, dry_run=False)
    assert room.runs() == set(made[1:])


def test_results_that_no_kept_run_has_used_go_with_the_runs(room: Room) -> None:
    room.table["runs"] = 2
    for days in (9, 3, 1):
        room.run(days, text=str(days))
    room.result(9, "of the first")
    room.result(2, "of the second")
    room.result(0, "of the third")
    room.result(9, "of another stage", stage="other")
    assert room.retention.collect(None, dry_run=False).results == 1
    assert [room.has(f"made of the {name}") for name in ("first", "second", "third")] == [False, True, True]
    assert room.has("made of another stage")


@pytest.mark.parametrize("table", [{"days": 30}, {"runs": 1}])
def test_old_verifications_go_with_their_runs_but_the_last_of_each_notebook(room: Room, table: dict[str, Any]) -> None:
    room.table.update(table)

    def verify(notebook: str, days: float, ended: bool = True) -> str:
        text = f"{notebook} {days}"
        run_id = room.run(days, text=text, kind="verification")
        with room.database.write() as session:
            row = Verification(
                project_id=room.project.id,
                notebook=notebook,
                notebook_digest=room.put(f"looked at {text}"),
                comparison=room.put(f"compared {text}"),
                runs=[run_id],
                status="ended" if ended else "running",
                created_by="ada",
                ended_at=NOW - days * DAY if ended else None,
            )
            session.add(row)
        return row.id

    verify("a.ipynb", 90)
    verify("a.ipynb", 80, ended=False)
    kept = [verify("b.ipynb", 70), verify("a.ipynb", 60)]
    room.retention.collect(None, dry_run=False)
    with room.database.read() as session:
        rows = {row.id: row for row in session.query(Verification)}
    assert {row_id for row_id, row in rows.items() if row.ended_at} == set(kept)
    assert len(rows) == 3
    assert room.runs() == {run for row in rows.values() for run in row.runs}
    assert [room.has(f"{what} a.ipynb 90") for what in ("looked at", "compared", "notebook")] == [False] * 3
    assert all(room.has(f"{what} b.ipynb 70") for what in ("looked at", "compared", "notebook"))


def test_results_that_nobody_uses_go_but_the_last_of_each_stage(room: Room) -> None:
    room.table["days"] = 30
    room.result(90, "older")
    room.result(60, "newest")
    room.result(90, "only", stage="other")
    room.result(31, "unused", stage="third")
    room.result(1, "used", stage="third")
    assert room.retention.collect(None, dry_run=False).results == 2
    with room.database.read() as session:
        assert {row.outputs_digest for row in session.query(StageResult)} == {"newest", "only", "used"}
    assert not room.has("made older")
    assert room.has("made newest")


def test_what_a_schedule_is_pinned_to_stays(room: Room) -> None:
    with room.database.write() as session:
        session.add(
            Schedule(
                project_id=room.project.id,
                name="nightly",
                kind="pipeline",
                cron="@daily",
                zone="UTC",
                pinned={"snapshot": room.snapshot("pinned")},
                decided_until=NOW,
                created_by="ada",
            )
        )
    room.put("nobody's")
    room.retention.collect(None, dry_run=False)
    assert room.has("pinned")
    assert not room.has("nobody's")


def test_what_was_put_just_now_stays(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "YOUNG", YOUNG)
    room.put("about to be referred to")
    assert room.retention.collect(None, dry_run=False).objects == 0
    assert room.has("about to be referred to")
