"""The vault on a real store: rotation that was killed, rows that were swapped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from himalia_server.service.auth import Principal
from himalia_server.service.context import Context, open_store
from himalia_server.service.journal import Events
from himalia_server.service.keyring import Keyring
from himalia_server.service.problems import Invalid
from himalia_server.service.site import Settings, Site
from himalia_server.store import Project, Secret, User
from himalia_server.team import SiteRole
from himalia_server.vault import Vault
from himalia_server.vault.manager import SecretsClosed
from himalia_server.vault.models import MOST

ADA = Principal("ada", "user", SiteRole.ADMIN, "t", None, None, None, None)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    site = Site.open(tmp_path / "site")
    site.prepare()
    store = open_store(site, Settings())
    store.migrate()
    yield Context(site, Settings(), store, Events(store), cast(Any, None))
    store.close()


@pytest.fixture
def projects(context: Context) -> list[Project]:
    with context.database.write() as session:
        session.add(User(name="ada"))
        session.flush()
        rows = [
            Project(slug=slug, path=f"/{slug}", python="p", kernelspec=slug, created_by="ada") for slug in ("a", "b")
        ]
        session.add_all(rows)
    return rows


def test_a_rotation_that_was_killed_is_finished_at_the_next_start(context: Context, projects: list[Project]) -> None:
    vault = Vault(context)
    for name in ("ONE", "TWO"):
        vault.set(ADA, projects[0], name, name.lower())
    before = Keyring.read(vault.file)
    both = before.with_new()
    both.write(vault.file)
    with context.database.write() as session:  # killed in the middle: one is sealed with the new key
        session.get_one(Secret, (projects[0].id, "ONE")).sealed = both.seal("one", projects[0].id, "ONE")
    again = Vault(context)
    assert again.variables(projects[0]) == {"ONE": "one", "TWO": "two"}
    again.repair()
    assert Keyring.read(vault.file) == both.newest()
    assert again.variables(projects[0]) == {"ONE": "one", "TWO": "two"}
    again.repair()
    assert Keyring.read(vault.file) == both.newest()


def test_a_row_of_another_project_opens_nothing(context: Context, projects: list[Project]) -> None:
    vault = Vault(context)
    vault.set(ADA, projects[0], "KEY", "of a")
    vault.set(ADA, projects[1], "KEY", "of b")
    vault.set(ADA, projects[1], "OWN", "fine")
    with context.database.write() as session:
        stolen = session.get_one(Secret, (projects[0].id, "KEY")).sealed
        session.get_one(Secret, (projects[1].id, "KEY")).sealed = stolen
    with pytest.raises(SecretsClosed, match="changed, or moved") as closed:
        vault.variables(projects[1])
    assert closed.value.opened == {"OWN": "fine"}
    lost = vault.rotate(ADA)
    assert (lost.resealed, lost.lost) == (2, ["KEY"])


def test_the_way_back_for_a_lost_key_loses_no_later_secret(context: Context, projects: list[Project]) -> None:
    vault = Vault(context)
    vault.set(ADA, projects[0], "OLD", "old")
    backup = Keyring.read(vault.file)
    vault.file.unlink()
    with pytest.raises(SecretsClosed) as closed:
        vault.variables(projects[0])
    assert "put that file into the site's folder" in str(closed.value.hint)
    vault.set(ADA, projects[1], "LATER", "later")  # with a key that no backup has
    with pytest.raises(SecretsClosed) as closed:
        vault.variables(projects[0])
    for told in (str(closed.value.hint), str(vault.of(projects[0])[0].problem)):
        assert "add what is in its list `keys`" in told
        assert "put that file" not in told
    later = json.loads(vault.file.read_text())
    backup.write(vault.file.with_name("of-a-backup"))
    later["keys"] += json.loads(vault.file.with_name("of-a-backup").read_text())["keys"]
    vault.file.write_text(json.dumps(later))
    for _ in range(2):
        assert vault.variables(projects[0]) == {"OLD": "old"}
        assert vault.variables(projects[1]) == {"LATER": "later"}
        vault.repair()


def test_a_project_has_so_many_secrets_and_no_more(context: Context, projects: list[Project]) -> None:
    vault = Vault(context)
    with context.database.write() as session:  # one more, from before there was a limit
        names = [f"OLD_{number}" for number in range(MOST + 1)]
        session.add_all(Secret(project_id=projects[0].id, name=name, sealed=b"", created_by="ada") for name in names)
    for _ in range(2):
        with pytest.raises(Invalid, match=f"secrets; a project may have {MOST}") as refused:
            vault.set(ADA, projects[0], "ONE_MORE", "value")
        assert (refused.value.field, "himalia secret list --project a" in str(refused.value.hint)) == ("name", True)
        vault.set(ADA, projects[0], "OLD_0", "what is there can be replaced")
        vault.delete(ADA, projects[0], names.pop())
    vault.set(ADA, projects[0], "ONE_MORE", "value")
    vault.set(ADA, projects[1], "ONE_MORE", "value")


def test_no_value_in_what_is_shown_of_models() -> None:
    from himalia_server.vault.models import SecretSet

    assert "hidden-value" not in repr(SecretSet(value="hidden-value"))
