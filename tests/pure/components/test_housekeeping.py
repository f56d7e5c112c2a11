"""Laid-out modules are removed when nothing refers to them, and not before."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from himalia_server.components import Components, tidy
from himalia_server.content import ContentStore, FileEntry
from himalia_server.service.context import Context, open_store
from himalia_server.service.journal import Events
from himalia_server.service.site import Settings, Site
from himalia_server.store import Component, Deployment, Kernel, Project, Revision, User

DAY = 86400.0
NOW = time.time()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Components]:
    site = Site.open(tmp_path / "site")
    site.prepare()
    store = open_store(site, Settings())
    store.migrate()
    with store.write() as session:
        session.add(User(name="ada"))
        session.flush()
        session.add(Project(id="p", slug="aa", path="/aa", python="p", kernelspec="aa", created_by="ada"))
    context = Context(site, Settings(), store, Events(store), cast(Any, None))
    yield Components(context, cast(Any, None), ContentStore(site.home / "content"))
    store.close()


def laid_out(room: Components, text: str, days: float) -> str:
    """Modules that were last asked for so many *days* ago; their digest."""
    digest = room.content.put_tree({"a.py": FileEntry(room.content.put_bytes(text.encode()), len(text))})
    folder = room.snapshots.folder(digest)
    os.utime(folder, (NOW - days * DAY, NOW - days * DAY))
    return digest


def there(room: Components) -> set[str]:
    return {f"sha256:{path.name}" for path in room.snapshots.root.iterdir()}


def test_only_what_nothing_refers_to_is_removed(room: Components) -> None:
    published, deployed, lost = (laid_out(room, text, 9) for text in "pdl")
    fresh = laid_out(room, "f", 6)
    with room.context.database.write() as session:
        component = Component(project_id="p", name="aa/x", version="1", digest=published, modules=[], created_by="ada")
        session.add_all([component, Deployment(id="d", project_id="p", name="end", state="serving", created_by="ada")])
        session.flush()
        about: dict[str, Any] = {"model_name": "m", "model_version": "1", "model_digest": "sha256:0"}
        about |= {"model_path": "/m", "weight": 100, "created_by": "ada"}
        session.add(Revision(deployment_id="d", number=1, sources=deployed, **about))
    assert tidy(room, NOW) == [lost]
    assert there(room) == {published, deployed, fresh}
    assert tidy(room, NOW) == []
    with room.context.database.write() as session:  # the endpoint is removed
        session.delete(session.get_one(Deployment, "d"))
    assert set(tidy(room, NOW + 2 * DAY)) == {deployed, fresh}
    assert (room.snapshots.folder(deployed) / "a.py").read_text() == "d"  # the content store has it still


def test_what_a_kernel_may_have_been_given_stays_as_long_as_it_lives(room: Components) -> None:
    older, given = laid_out(room, "o", 40), laid_out(room, "g", 30)
    with room.context.database.write() as session:
        began = NOW - 30 * DAY + 1
        row = Kernel(id="k", project_id="p", token_id="t", owner_pid=1, owner_ticks="1", created_at=began)
        session.add(row)
    assert tidy(room, NOW) == [older]
    with room.context.database.write() as session:
        session.delete(session.get_one(Kernel, "k"))
    assert tidy(room, NOW) == [given]


def test_asking_makes_young(room: Components) -> None:
    digest = laid_out(room, "a", 9)
    room.snapshots.folder(digest)  # somebody asks for it
    assert digest in there(room)
    stranger = room.snapshots.root / "a-file"
    stranger.touch()
    os.utime(stranger, (0, 0))
    assert tidy(room, NOW) == []
    assert stranger.exists()
