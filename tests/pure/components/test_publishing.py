"""What is published never changes again, so it is no mixture of two states of a folder that something writes to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from himalia_server.components.manager import Components
from himalia_server.components.models import ComponentPublish
from himalia_server.content import ContentStore, FileEntry
from himalia_server.projects import Projects
from himalia_server.projects.models import ProjectCreate
from himalia_server.service.auth import authorize
from himalia_server.service.problems import Conflict
from tests.pure.projects.conftest import ADA, Clock, clock, folders, room

__all__ = ["Clock", "clock", "folders", "room"]


@pytest.fixture
def while_read(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens as the next files are read, one thing for each."""
    coming: list[Callable[[], object]] = []
    whole = ContentStore.put_file

    def put_file(self: ContentStore, path: Path) -> FileEntry:
        if coming:
            coming.pop(0)()
        return whole(self, path)

    monkeypatch.setattr(ContentStore, "put_file", put_file)
    return coming


def test_a_folder_that_changes_meanwhile_is_read_again(
    room: Projects, folders: Path, while_read: list[Callable[[], object]]
) -> None:
    room.make(ADA, ProjectCreate(name="pp", template="blank", path=str(folders / "pp")))
    project = authorize(room.context, ADA, "pp", "project.read")
    source = folders / "pp" / "src"
    source.mkdir(exist_ok=True)
    for name in ("a.py", "b.py"):
        (source / name).write_text("V = 1\n")
    content = ContentStore(room.context.site.home / "content")
    components = Components(room.context, room, content)

    while_read += [lambda: None, lambda: [(source / name).write_text("V = 2\n") for name in ("a.py", "b.py")]]
    made = components.publish(ADA, project, ComponentPublish(name="feat", version="1.0"))
    stored = content.tree(made.digest)
    assert {content.path(stored[name].digest).read_text() for name in ("a.py", "b.py")} == {"V = 2\n"}

    while_read += [(source / "b.py").unlink]
    made = components.publish(ADA, project, ComponentPublish(name="feat", version="1.1"))
    assert "b.py" not in content.tree(made.digest)

    while_read += [lambda: (source / "a.py").write_text(f"V = {len(while_read)}\n")] * 50
    with pytest.raises(Conflict, match="change, or cannot be read, while they are published"):
        components.publish(ADA, project, ComponentPublish(name="feat", version="1.2"))
