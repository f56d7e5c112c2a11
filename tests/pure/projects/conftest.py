"""The room on a store of its own, without a service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from himalia_server.projects import Projects
from himalia_server.service.auth import Principal
from himalia_server.service.context import Context
from himalia_server.service.journal import Events
from himalia_server.service.site import Settings, Site
from himalia_server.store import Database, User
from himalia_server.team import SiteRole
from tests.layer import kernel_layer

ADA = Principal("ada", "user", SiteRole.ADMIN, "t", None, None, None, None)


class Clock:
    """Time that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def room(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Projects]:
    """Projects of a site in *tmp_path*, with ada as its admin."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    site = Site.open(tmp_path / "home")
    database = Database(site.database, site.home / "backups")
    database.migrate()
    with database.write() as session:
        session.add(User(name="ada", site_role="admin"))
    context = Context(site, Settings(), database, Events(database), cast(Any, None))
    yield Projects(context, kernel_layer(), clock)
    database.close()


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Where folders of projects are put."""
    place = tmp_path / "work"
    place.mkdir()
    return place
