"""A site without a service, and the room on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from himalia_server.environments import Environments
from himalia_server.projects import Projects
from himalia_server.service.children import Children
from himalia_server.service.context import Context
from himalia_server.service.journal import Events
from himalia_server.service.layer import publish_layer
from himalia_server.service.site import Settings, Site
from himalia_server.store import Database, Project, User


class Clock:
    """UTC seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Environments]:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    site = Site.open(tmp_path / "home")
    site.prepare()
    database = Database(f"sqlite:///{site.database}", site.home / "backups")
    database.migrate()
    context = Context(site, Settings(), database, Events(database), Children(site, 0))
    yield Environments(context, Projects(context, publish_layer(site.home)), clock)
    database.close()


@pytest.fixture
def project(room: Environments, tmp_path: Path) -> Project:
    """A project `p` that asks for the package alpha."""
    folder = tmp_path / "p"
    folder.mkdir()
    text = '[project]\nname = "p"\n[environment]\nrequirements = "requirements.txt"\n'
    (folder / "himalia.toml").write_text(text)
    (folder / "requirements.txt").write_text("alpha\n")
    made = Project(slug="p", path=str(folder), python="/nowhere/python", kernelspec="himalia-p", created_by="ada")
    with room.context.database.write() as session:
        session.add(User(name="ada"))
        session.flush()
        session.add(made)
    return made
