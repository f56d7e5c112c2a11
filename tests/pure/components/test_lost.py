"""A version whose files are lost says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from himalia_server.components.manager import Components
from himalia_server.components.models import ComponentPublish
from himalia_server.content import ContentStore
from himalia_server.projects import Projects
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.auth import authorize
from tests.pure.projects.conftest import ADA, Clock, clock, folders, room

__all__ = ["Clock", "clock", "folders", "room"]


@pytest.mark.parametrize("what", ["the list", "the list's text", "a file"])
def test_what_is_lost_is_told_and_the_other_versions_are_shown(room: Projects, folders: Path, what: str) -> None:
    room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folders / "pp")))
    project = authorize(room.context, ADA, "pp", "project.read")
    source = folders / "pp" / "src"
    source.mkdir(exist_ok=True)
    content = ContentStore(room.context.site.home / "content")
    components = Components(room.context, room, content)
    digests = []
    for number in ("1", "2"):
        (source / "lost.py").write_text(f"V = {number}\n")
        digests.append(components.publish(ADA, project, ComponentPublish(name="feat", version=number)).digest)
    if what == "the list":
        content.path(digests[0]).unlink()
    elif what == "the list's text":
        content.path(digests[0]).chmod(0o600)
        content.path(digests[0]).write_text('{"files"')
    else:
        content.path(content.tree(digests[0])["lost.py"].digest).unlink()
    second, first = components.detail(ADA, "pp/feat").published
    assert (second.version, second.problem) == ("2", None)
    assert second.files == len(content.tree(digests[1]))
    assert first.files is None
    assert "The files of pp/feat@1 are gone" in str(first.problem)
    assert "himalia restore" in str(first.problem)
