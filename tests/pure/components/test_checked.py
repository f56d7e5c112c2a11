"""What a check says of components is what a kernel gets that the caller starts; and what publishing again says."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.components.manager import Components
from himalia_server.components.models import ComponentPublish
from himalia_server.content import ContentStore
from himalia_server.projects import Projects
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.auth import Principal, authorize
from himalia_server.service.problems import Invalid, NotFound
from himalia_server.store import Member, Project, User
from tests.pure.projects.conftest import ADA, Clock, clock, folders, room

__all__ = ["Clock", "clock", "folders", "room"]
BOB = Principal("bob", "user", None, "t", None, None, None, None)


def made(room: Projects, folders: Path, name: str) -> Project:
    room.make(ADA, ProjectCreate(name=name, template="blank", path=str(folders / name)))
    return authorize(room.context, ADA, name, "project.read")


def join(room: Projects, project: Project) -> None:
    """Bob becomes a member."""
    with room.context.database.write() as session:
        session.add(User(name="bob"))
        session.flush()
        session.add(Member(project_id=project.id, user="bob", role="contributor"))


@pytest.fixture
def components(room: Projects) -> Components:
    found = Components(room.context, room, ContentStore(room.context.site.home / "content"))
    room.kernels.sources = found.sources
    room.manifests.noticed.append(found.noticed)
    return found


def test_a_check_finds_what_a_kernel_of_the_caller_is_given(
    room: Projects, folders: Path, components: Components
) -> None:
    guide, winter = made(room, folders, "guide"), made(room, folders, "winter")
    (folders / "guide" / "src").mkdir(exist_ok=True)
    (folders / "guide" / "src" / "tasting.py").write_text("V = 1\n")
    components.publish(ADA, guide, ComponentPublish(name="tasting", version="1.0"))
    # as an export of another project would have it
    (folders / "winter" / "himalia.toml").write_text('[project]\nname = "winter"\nuses = ["guide/tasting@1.0"]\n')
    join(room, winter)

    def check(principal: Principal) -> list[str]:
        return [problem.message for problem in room.manifests.problems(principal, winter).items]

    assert check(ADA) == []
    # who may not see the publisher is told, as the kernel would; a check gives nothing to the project
    assert "There is no component guide/tasting that this project may use" in check(BOB)[0]
    assert "There is none yet" not in check(BOB)[0]
    _, wrong = components.sources(BOB, winter, room.kernels.manifest(winter))
    assert wrong == check(BOB)
    # a kernel of ada's gives it
    assert components.sources(ADA, winter, room.kernels.manifest(winter))[1] == []
    assert check(BOB) == []


def test_publishing_again_says_what_it_does_not_do(room: Projects, folders: Path, components: Components) -> None:
    project = made(room, folders, "team")
    (folders / "team" / "src").mkdir(exist_ok=True)
    for name in ("features", "other"):
        (folders / "team" / "src" / f"{name}.py").write_text("V = 1\n")
    first = components.publish(ADA, project, ComponentPublish(name="all", version="1", note="the first"))
    assert (first.unchanged, first.warnings) == (False, [])
    again = components.publish(ADA, project, ComponentPublish(name="all", version="1"))
    assert (again.unchanged, again.warnings, again.note) == (True, [], "the first")
    again = components.publish(ADA, project, ComponentPublish(name="all", version="1", note="better"))
    assert again.warnings == ["A version never changes: the note of team/all@1 stays 'the first'."]
    with pytest.raises(Invalid) as refused:
        components.publish(ADA, project, ComponentPublish(name="x", version="1", module="fetures"))
    assert refused.value.hint == "Modules in its src/: features, other."


def test_a_misspelt_project_is_guessed_among_those_that_the_caller_may_see(room: Projects, folders: Path) -> None:
    for name in ("winter", "summer"):
        made(room, folders, name)
    join(room, authorize(room.context, ADA, "winter", "project.read"))
    for principal, name, guess in ((ADA, "sumer", "'summer'"), (BOB, "sumer", None), (BOB, "wintr", "'winter'")):
        with pytest.raises(NotFound) as refused:
            authorize(room.context, principal, name, "project.read")
        assert str(refused.value.hint).startswith(f"Did you mean {guess}? " if guess else "`himalia project list`")
    with pytest.raises(NotFound) as refused:
        authorize(room.context, BOB, "summer", "project.read")
    assert "Did you mean" not in str(refused.value.hint)


def test_a_file_is_no_place_for_a_project(room: Projects, folders: Path) -> None:
    (folders / "notes.txt").write_text("mine")
    for template in (None, "blank"):
        with pytest.raises(Invalid, match=r"notes\.txt is a file; a project is a folder"):
            room.make(ADA, ProjectCreate(name="pp", template=template, path=str(folders / "notes.txt")))
    assert (folders / "notes.txt").read_text() == "mine"
