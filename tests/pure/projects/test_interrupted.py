"""A service that is killed while it makes, trashes, restores or purges a project: the next one goes on."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from himalia_server.projects import Projects
from himalia_server.projects.making.drafts import Making
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.once import Once, Repeated
from himalia_server.service.problems import Conflict, Invalid, NotFound, StorageFull
from himalia_server.store import EventRow, Project
from tests.pure.projects.conftest import ADA, Clock

ONCE = Once("user::ada", "key", "f" * 64)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


def again(room: Projects) -> Projects:
    """The room of the next service, on the same site."""
    fresh = Projects(room.context, room.layer, room.life.clock)
    fresh.start()
    fresh.life.settle()
    return fresh


def kill_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool = False) -> None:
    """Have the call of *name* be the last thing that happens, before or after it has done its work."""
    real = getattr(owner, name)

    def killed(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(owner, name, killed)


def without_cleaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process does not do: take back."""
    monkeypatch.setattr("himalia_server.projects.making.drafts.shutil.rmtree", lambda *_a, **_k: None)
    monkeypatch.setattr(Path, "unlink", lambda *_a, **_k: None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_half_filled_is_taken_back(room: Projects, folders: Path) -> None:
    draft = folders / ".p.0123456789ab"
    draft.mkdir()
    (draft / "half.ipynb").write_text("{")
    journal = room.context.site.home / "making"
    journal.mkdir()
    plan = {"project": "0" * 19, "name": "pp", "user": "ada", "target": str(folders / "pp"), "draft": str(draft)}
    (journal / "x.json").write_text(json.dumps(plan | {"detail": {}, "once": None}))
    other = folders / ".p.notours"
    other.mkdir()
    room = again(room)
    assert names(folders) == [".p.notours"]
    assert names(journal) == []
    with pytest.raises(NotFound):
        room.library.find("pp")


def test_what_was_whole_becomes_the_project_and_is_made_once(
    room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_a, **_k: None)
        registered = Making._register

        def killed(self: Making, *args: Any) -> Any:
            # the folder is there and the site does not know of it; the real process cannot put it back
            patch.setattr(Path, "replace", lambda *_a: None)
            patch.setattr("himalia_server.projects.making.drafts.shutil.rmtree", lambda *_a, **_k: None)
            raise Killed

        patch.setattr(Making, "_register", killed)
        wanted = ProjectCreate(name="pp", template="blank", path=str(folders / "pp"))
        with pytest.raises(Killed):
            room.make(ADA, wanted, ONCE)
        patch.setattr(Making, "_register", registered)
    assert (folders / "pp" / "himalia.toml").is_file()
    room = again(room)
    assert [view.slug for view in room.page(ADA, None, 10)[0]] == ["pp"]
    with pytest.raises(Repeated):
        room.make(ADA, wanted, ONCE)
    assert names(folders) == ["pp"]
    assert names(room.context.site.home / "making") == []


def test_a_failure_leaves_nothing(room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        kill_at(patch, Making, "_register")
        with pytest.raises(Killed):
            room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folders / "a" / "b" / "pp")))
        bare = folders / "bare"
        bare.mkdir()
        (bare / "x.py").write_text("")
        with pytest.raises(Killed):
            room.make(ADA, ProjectCreate(name="bare", path=str(bare)))
    assert names(folders) == ["bare"]
    assert names(bare) == ["x.py"]
    assert names(room.context.site.home / "making") == []


@pytest.fixture
def made(room: Projects, folders: Path) -> Path:
    """The folder of the project pp."""
    room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folders / "pp")))
    return folders / "pp"


def row(room: Projects) -> Project | None:
    with room.context.database.read() as session:
        return session.scalar(select(Project))


def project(room: Projects) -> Project:
    found = row(room)
    assert found is not None
    return found


STEPS: list[tuple[str, Callable[[Projects, pytest.MonkeyPatch], None]]] = [
    ("as soon as it is meant", lambda room, _patch: room.life.on_rest.insert(0, _kill)),
    ("before the folder is put aside", lambda _room, patch: kill_at(patch, Path, "rename")),
    ("after the folder was put aside", lambda _room, patch: kill_at(patch, Path, "rename", after=True)),
]


def _kill(_project: Project) -> None:
    raise Killed


@pytest.mark.parametrize(("when", "arm"), STEPS, ids=[step[0] for step in STEPS])
def test_trash_is_finished(
    room: Projects, made: Path, monkeypatch: pytest.MonkeyPatch, when: str, arm: Callable[..., None]
) -> None:
    with monkeypatch.context() as patch:
        arm(room, patch)
        with pytest.raises(Killed):
            room.life.trash(ADA, project(room), remove_files=True)
    room = again(room)
    kept = project(room)
    assert (kept.deleting, kept.trashed_at is not None) == (None, True), when
    assert not made.exists()
    assert Path(str(kept.trash)).is_dir()
    room.life.restore(ADA, kept)
    assert (made / "himalia.toml").is_file()


@pytest.mark.parametrize("after", [False, True])
def test_restore_is_finished(room: Projects, made: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    room.life.trash(ADA, project(room), remove_files=True)
    with monkeypatch.context() as patch:
        kill_at(patch, Path, "rename", after=after)
        with pytest.raises(Killed):
            room.life.restore(ADA, project(room))
    room = again(room)
    kept = project(room)
    assert (kept.deleting, kept.trashed_at, kept.trash) == (None, None, None)
    assert (made / "himalia.toml").is_file()
    assert names(made.parent) == ["pp"]


@pytest.mark.parametrize(
    ("trashed", "step"),
    # what lies in the trash was put aside before
    [*((False, step) for step in ("hook", "rename", "rmtree", "row")), (True, "hook"), (True, "rmtree"), (True, "row")],
)
def test_purge_is_finished(
    room: Projects, made: Path, monkeypatch: pytest.MonkeyPatch, step: str, trashed: bool
) -> None:
    if trashed:
        room.life.trash(ADA, project(room), remove_files=True)
    with monkeypatch.context() as patch:
        if step == "hook":
            room.life.on_purge.append(_kill)
        elif step == "rename":
            kill_at(patch, Path, "rename", after=True)
        elif step == "rmtree":
            kill_at(patch, __import__("shutil"), "rmtree")
        else:
            kill_at(patch, __import__("himalia_server.service.tokens", fromlist=["x"]), "revoke_all")
        with pytest.raises(Killed):
            room.life.purge(ADA, project(room), remove_files=True)
    room = again(room)
    assert row(room) is None
    assert names(made.parent) == []
    with room.context.database.read() as session:
        topics = list(session.scalars(select(EventRow.topic)))
    assert topics.count("project.deleted") == 1


def test_an_interrupted_archive_comes_to_rest(room: Projects, made: Path) -> None:
    """The rooms that end what runs are asked until nothing runs."""
    room.life.on_rest.append(_kill)
    with pytest.raises(Killed):
        room.life.archive(ADA, project(room))
    assert project(room).archived_at is not None
    ended: list[str] = []
    fresh = Projects(room.context, room.layer)
    fresh.life.on_rest.append(lambda project: ended.append(project.slug))
    from himalia_server.store import Cluster

    with room.context.database.write() as session:
        session.add(
            Cluster(
                project_id=project(room).id,
                name="c",
                profile="local",
                workers=1,
                threads_per_worker=1,
                memory_limit="1GiB",
                state="running",
                created_by="ada",
            )
        )
    fresh.life.settle()
    assert ended == ["pp"]


def test_the_trash_is_emptied_after_thirty_days(room: Projects, made: Path, clock: Clock) -> None:
    room.life.trash(ADA, project(room), remove_files=True)
    clock.now += 29.9 * 86400
    room.life.settle()
    assert row(room) is not None
    clock.now += 0.2 * 86400
    room.life.settle()
    assert row(room) is None
    assert names(made.parent) == []


def test_a_kept_folder_survives_the_purge(room: Projects, made: Path, clock: Clock) -> None:
    room.life.trash(ADA, project(room), remove_files=False)
    assert (made / "himalia.toml").is_file()
    clock.now += 31 * 86400
    room.life.settle()
    assert row(room) is None
    assert (made / "himalia.toml").is_file()


def test_a_name_in_the_trash_is_reserved_and_says_how_to_get_it(room: Projects, made: Path, folders: Path) -> None:
    room.life.trash(ADA, project(room), remove_files=True)
    with pytest.raises(Conflict, match="in the trash") as caught:
        room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folders / "other")))
    assert "restore pp" in str(caught.value.hint)
    assert "--purge" in str(caught.value.hint)


def test_a_restore_over_something_else_is_refused(room: Projects, made: Path) -> None:
    room.life.trash(ADA, project(room), remove_files=True)
    made.mkdir()
    (made / "mine.txt").write_text("x")
    with pytest.raises(Conflict, match="cannot be put back"):
        room.life.restore(ADA, project(room))
    assert (made / "mine.txt").read_text() == "x"
    assert Path(str(project(room).trash)).is_dir()


def test_a_folder_that_is_not_empty_is_never_overwritten(room: Projects, folders: Path) -> None:
    (folders / "pp").mkdir()
    (folders / "pp" / "mine.txt").write_text("x")
    with pytest.raises(Invalid, match="not empty"):
        room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folders / "pp")))
    assert names(folders / "pp") == ["mine.txt"]


def test_a_folder_that_cannot_be_put_aside_stays(room: Projects, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def busy(*_args: object) -> None:
            raise OSError(16, "Device or resource busy")

        patch.setattr(Path, "rename", busy)
        room.life.trash(ADA, project(room), remove_files=True)
    kept = project(room)
    assert (kept.deleting, kept.trash, (made / "himalia.toml").is_file()) == (None, None, True)
    room.life.restore(ADA, kept)
    assert project(room).trashed_at is None


@pytest.mark.parametrize("purge", [False, True])
@pytest.mark.parametrize("there", ["another project", "nothing of ours"])
def test_what_lies_in_the_place_of_a_folder_that_was_moved_is_not_removed(
    room: Projects, made: Path, folders: Path, there: str, purge: bool
) -> None:
    mine = project(room)
    made.rename(folders.parent / "elsewhere")
    if there == "another project":
        room.make(ADA, ProjectCreate(name="other", template="blank", path=str(folders / "other")))
        (folders / "other").rename(made)
    else:
        made.mkdir()
    (made / "precious.txt").write_text("")
    remove = room.life.purge if purge else room.life.trash
    with pytest.raises(Conflict, match="is not that of pp any more") as told:
        remove(ADA, mine, remove_files=True)
    assert "himalia project move pp FOLDER" in str(told.value.hint)
    assert (made / "precious.txt").is_file()
    remove(ADA, mine, remove_files=False)
    assert (made / "precious.txt").is_file()


def test_a_folder_is_put_aside_under_a_name_of_any_language(room: Projects, folders: Path) -> None:
    folder = folders / ("日" * 80)
    room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folder)))
    room.life.trash(ADA, project(room), remove_files=True)
    assert not folder.exists()
    room.life.restore(ADA, project(room))
    assert (folder / "himalia.toml").is_file()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
    ],
)
def test_a_full_disk_is_named(room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    full = {folders: 0, room.context.site.home: 1 << 30}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=full[Path(path)]))

    def fill(_folder: Path, _progress: object) -> None:
        raise error

    def make() -> None:
        room.making.make(ADA, "pp", str(folders / "a" / "pp"), None, like="pp", fill=fill, detail={})

    with pytest.raises(StorageFull, match=str(folders)):
        make()
    full[folders], full[room.context.site.home] = 1 << 30, 0
    with pytest.raises(StorageFull, match=str(room.context.site.home)):
        make()
    assert names(folders) == []
