"""Names, addresses, moved folders, members and lists of projects, without a service."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from himalia_server.projects import Projects
from himalia_server.projects.folders import refuse_foreign
from himalia_server.projects.folders.locating import Locating
from himalia_server.projects.folders.marker import FILE, Mark, read_mark, try_mark, unmark
from himalia_server.projects.folders.names import free_name, name_of_source, name_problem, sluggified
from himalia_server.projects.life.lifecycle import aside
from himalia_server.projects.making.git import require_address
from himalia_server.projects.manifest import ManifestFault
from himalia_server.projects.manifest.reading import read_text
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.auth import authorize
from himalia_server.service.problems import Conflict, Forbidden, Invalid, NotFound
from himalia_server.store import Member, Project
from himalia_server.team import Role, SiteRole
from tests.pure.projects.conftest import ADA


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Churn (2026)", "churn-2026"),
        ("Überleben im Café", "uberleben-im-cafe"),
        ("a", "a-project"),
        ("default", "default-project"),
        ("日本", None),
        ("--", None),
        ("x" * 90, "x" * 63),
    ],
)
def test_a_name_is_made_of_any_text(text: str, name: str | None) -> None:
    assert sluggified(text) == name
    assert name is None or name_problem(name) is None
    assert name_problem(text) is not None


def test_a_taken_name_gets_a_number() -> None:
    taken = {"churn", "churn-2", "x" * 63}
    assert free_name("Churn", taken.__contains__) == "churn-3"
    assert free_name("x" * 70, taken.__contains__) == "x" * 61 + "-2"
    assert free_name("日本", taken.__contains__) == "project"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://git.example/team/churn.git", "churn"),
        ("git@git.example:team/churn.git", "churn"),
        ("git@git.example:churn", "churn"),
        ("/home/ada/churn/", "churn"),
        ("ssh://git@git.example:22/~ada/churn.git", "churn"),
    ],
)
def test_an_address_names_its_project(source: str, name: str) -> None:
    require_address(source)
    assert name_of_source(source) == name


@pytest.mark.parametrize(
    "address",
    [
        "https://ada:pw@git.example/x.git",
        "https://token@git.example/x.git",
        "https://git.example/x.git?private_token=pw",
        "ssh://ada:pw@git.example/x.git",
        "ext::sh -c id",
        "-u",
        "--upload-pack=id",
        "x",
        "../x",
        "git.example:x",
        "ftp://git.example/x",
        "https://",
        "https://git.example/x y",
        "https://git.example/x\n",
        "http://[::1",
    ],
)
def test_an_address_that_is_none_or_holds_a_password(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        require_address(address)
    assert "pw" not in caught.value.detail
    assert "token@" not in caught.value.detail
    assert caught.value.hint


def make(room: Projects, folder: Path) -> None:
    room.make(ADA, ProjectCreate(name=folder.name, template="blank", path=str(folder)))


def where(room: Projects) -> dict[str, str]:
    views, _ = room.page(ADA, None, 200)
    return {view.slug: "missing" if view.missing else view.path for view in views}


def test_a_swap_and_a_chain_are_found_at_once(room: Projects, folders: Path) -> None:
    for name in ("aa", "bb", "cc"):
        make(room, folders / name)
    (folders / "aa").rename(folders / "free")
    (folders / "bb").rename(folders / "aa")
    (folders / "free").rename(folders / "bb")
    (folders / "cc").rename(folders / "dd")
    assert where(room) == {"aa": str(folders / "bb"), "bb": str(folders / "aa"), "cc": str(folders / "dd")}
    (folders / "dd").rename(folders / "ee")
    (folders / "bb").rename(folders / "dd")
    assert where(room) == {"aa": str(folders / "dd"), "bb": str(folders / "aa"), "cc": str(folders / "ee")}


def test_a_copy_steals_nothing(room: Projects, folders: Path) -> None:
    make(room, folders / "aa")
    shutil.copytree(folders / "aa", folders / "0-copy")
    assert where(room) == {"aa": str(folders / "aa")}
    found = room.locate(ADA, str(folders / "0-copy"))
    assert (found.state, found.suggestion) == ("copy", "0-copy")
    with pytest.raises(Conflict, match="is a copy"):
        room.locating.move(ADA, authorize(room.context, ADA, "aa", "project.move"), str(folders / "0-copy"))
    room.make(ADA, ProjectCreate(name="own", path=str(folders / "0-copy")))
    marks = [read_mark(folders / name) for name in ("aa", "0-copy")]
    assert marks[0] is not None
    assert marks[0] != marks[1]
    # another site's folder is no project's here
    (folders / "0-copy" / FILE).write_text('{"site": "elsewhere", "project": "x"}')
    assert where(room)["own"] == str(folders / "0-copy")


def test_what_is_nowhere_near_is_said_and_looked_for_again(
    room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(room, folders / "aa")
    far = folders / "far" / "off"
    far.parent.mkdir()
    (folders / "aa").rename(far)
    assert where(room) == {"aa": "missing"}
    view = room.page(ADA, None, 1)[0][0]
    assert view.problem is not None
    assert str(folders) in view.problem
    assert "himalia project move aa" in view.problem
    calls = []
    monkeypatch.setattr("himalia_server.projects.folders.locating._marked", lambda place: calls.append(place) or [])
    assert where(room) == {"aa": "missing"}
    assert calls == []  # not at each listing
    monkeypatch.undo()
    assert room.locate(ADA, str(far)).state == "moved"
    assert where(room) == {"aa": str(far)}


def test_a_folder_in_the_trash_is_not_found_again(room: Projects, folders: Path) -> None:
    make(room, folders / "aa")
    project = authorize(room.context, ADA, "aa", "project.delete")
    room.life.trash(ADA, project, remove_files=True)
    assert aside(folders / "aa", project.id).is_dir()
    assert where(room) == {}
    with pytest.raises(NotFound, match="in the trash"):
        authorize(room.context, ADA, "aa", "project.read")
    assert authorize(room.context, ADA, "aa", "project.delete", trashed=True).slug == "aa"
    assert [view.slug for view in room.page(ADA, None, 10, trashed=True)[0]] == ["aa"]


def test_the_last_owner_stays(room: Projects, folders: Path) -> None:
    make(room, folders / "aa")
    project = authorize(room.context, ADA, "aa", "member.write")
    with pytest.raises(Conflict, match="last owner"):
        room.members.remove(ADA, project, "ada")
    with pytest.raises(Conflict, match="last owner"):
        room.members.put(ADA, project, "ada", Role.VIEWER)
    room.members.put(ADA, project, "grace", Role.OWNER)
    room.members.remove(ADA, project, "ada")
    views, _ = room.members.page(project, None, 10)
    assert [(view.user, view.role) for view in views] == [("grace", Role.OWNER)]
    with pytest.raises(NotFound):
        authorize(room.context, ADA, "aa", "project.read")


def test_a_thousand_projects_cost_few_questions(room: Projects, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with room.context.database.write() as session:
        for number in range(1000):
            folder = folders / f"p{number:04d}"
            folder.mkdir()
            (folder / "himalia.toml").write_text(f"[project]\nname = 'p{number}'\n[stages.a]\nnotebook = 'a.ipynb'\n")
            project = Project(slug=folder.name, path=str(folder), python="python", kernelspec="k", created_by="ada")
            session.add(project)
            session.flush()
            session.add(Member(project_id=project.id, user="ada", role="owner"))

    def pages() -> int:
        cursor, seen = None, 0
        while True:
            views, cursor = room.page(ADA, cursor, 200)
            seen += len(views)
            if cursor is None:
                return seen

    assert pages() == 1000

    def read_again(*_args: object) -> None:
        raise AssertionError("manifests and marks are read once")

    for name in ("manifest.reading.read_manifest", "folders.locating.read_mark"):
        monkeypatch.setattr(f"himalia_server.projects.{name}", read_again)
    questions: list[str] = []
    listener = lambda _c, _cursor, statement, *_: questions.append(statement)  # noqa: E731
    event.listen(room.context.database.engine, "before_cursor_execute", listener)
    assert pages() == 1000
    assert len([text for text in questions if text.startswith("SELECT")]) == 5


@pytest.mark.parametrize("path", ["/a\0b", "/half-\ud800", "relative", "~/x", "", "LOOP", "/" + "x" * 900])
def test_what_can_be_no_folder_is_told(room: Projects, folders: Path, path: str) -> None:
    (folders / "loop").symlink_to("loop")
    path = path.replace("LOOP", str(folders / "loop" / "x"))
    for template in (None, "blank"):
        with pytest.raises(Invalid) as refused:
            room.make(ADA, ProjectCreate.model_construct(name="strange", template=template, path=path, git=None))
        assert refused.value.field == "path"
        assert refused.value.hint


def test_what_can_be_no_name_is_told_before_a_folder_is_looked_for(room: Projects) -> None:
    for name in ("a\0b", "../../etc", "."):
        with pytest.raises(Invalid) as refused:
            room.make(ADA, ProjectCreate(name=name))
        assert refused.value.field == "name"


def test_looking_is_bounded(room: Projects, folders: Path) -> None:
    assert isinstance(room.locating, Locating)
    make(room, folders / "aa")
    project = authorize(room.context, ADA, "aa", "project.read")
    assert room.locating.looked_at(project) == [folders, room.places.usual().resolve()]


def test_what_is_no_address_at_all_names_something() -> None:
    assert name_of_source("https://[::1") == "[::1"


@pytest.mark.parametrize("address", ["{}", "file://{}", "FILE://{}", "{}/.git", "{}/..", "file://localhost{}"])
def test_a_copy_of_a_project_is_made_by_who_may_export_it(room: Projects, folders: Path, address: str) -> None:
    (folders / "a").mkdir()
    make(room, folders / "a" / "theirs")
    other = replace(ADA, user="eve", site_role=SiteRole.ADMIN)
    source = address.format(folders / "a" / "theirs")
    with pytest.raises(Forbidden, match="of which you may have no copy"):
        room.make(other, ProjectCreate(name="stolen", git=source))
    with pytest.raises(Forbidden):
        room.library.add(other, source, "stolen")
    project = authorize(room.context, ADA, "theirs", "project.read")
    room.members.put(ADA, project, "eve", Role.VIEWER)
    with pytest.raises(Forbidden):
        room.make(other, ProjectCreate(name="stolen", git=source))
    room.members.put(ADA, project, "eve", Role.CONTRIBUTOR)
    refuse_foreign(room.context, other, source)


def test_a_manifest_that_is_a_link_out_of_the_project_is_not_read(room: Projects, folders: Path) -> None:
    make(room, folders / "aa")
    outside = folders.parent / "outside"
    outside.write_text("canary = 1")
    (folders / "aa" / "himalia.toml").unlink()
    (folders / "aa" / "himalia.toml").symlink_to(outside)
    with pytest.raises(ManifestFault, match="a link that leads out") as told:
        read_text(folders / "aa")
    assert "canary" not in told.value.detail


def test_a_mark_is_not_taken_out_of_another_folder(folders: Path) -> None:
    (folders / "outside").mkdir()
    (folders / "outside" / ".gitignore").write_text("mine")
    (folders / "aa").mkdir()
    (folders / "aa" / ".himalia").symlink_to(folders / "outside")
    try_mark(folders / "aa", Mark("s", "p"))
    unmark(folders / "aa")
    assert (folders / "outside" / ".gitignore").read_text() == "mine"


def test_a_mark_that_cannot_be_written_leaves_nothing(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    try_mark(folders, Mark("s", "p"))
    assert list((folders / ".himalia").iterdir()) == []
